"""The models of the catalogue, and compositions of their faults, that do what a router was seen to do.

The rules of this file:

- Parameters are taken from what the router wrote: numbers and addresses that are in what left and were not
  in what entered.
- Models that explain equally much are all named: a *tie*. If a router without a fault is among them, it is
  that one: what a conversation does not show is no accusation.
- Faults of which the conversation shows nothing are named as such.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from siplab.experiments.learning.candidates import Observed, behaviour, distance
from siplab.experiments.trial.run import models
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError

_NUMBER: Final = re.compile(rb"(?<![.\d])\d{1,9}(?![.\d])")
_IPV4: Final = re.compile(rb"(?<![.\d])(?:\d{1,3}\.){3}\d{1,3}(?![.\d])")
_PORTS: Final = re.compile(rb"(?:m=audio |:)(\d{4,5})")
_NEARLY: Final = 60  # packets to each difference of a model that is near enough
_MANY: Final = 500  # packets, of which only so many may differ
_NUMBERS, _DIFFERENCES, _ADDRESSES = 12, 6, 4  # constants of each kind that are tried


class Constants(NamedTuple):
    """What a router wrote of its own, the most frequent first."""

    numbers: tuple[int, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """What the search came to.

    ``tie``: the models that are at the least ``distance``, the one that is named first. ``unshown``: ids of
    faults of which these conversations would show nothing. ``tried``: candidates; ``seconds``: of CPU time.
    """

    tie: tuple[Model, ...]
    distance: float
    unshown: tuple[str, ...]
    tried: int
    seconds: float

    @property
    def model(self) -> Model:
        return self.tie[0]


class _Scored(NamedTuple):
    distance: float
    size: int  # how many faults
    model: Model

    @property
    def rank(self) -> tuple[float, bool, int, bool]:
        """Nearer first; then routers without a fault, fewer faults, no parameters."""
        return self.distance, self.model.card.kind != "control", self.size, "(" in self.model.id


def constants(observed: Observed) -> Constants:
    """Numbers, differences to ports of the message, and addresses that the router brought in."""
    numbers: Counter[int] = Counter()
    gaps: Counter[int] = Counter()
    addresses: Counter[bytes] = Counter()
    for pair in observed.pairs:
        for each, left in zip(pair.crossings, pair.arrivals, strict=True):
            try:
                packet = ip.parse(each.packet)
            except MalformedPacketError:
                continue
            before = packet.payload
            old: set[bytes] | None = None
            for row in left:
                if row.payload == before:
                    continue
                if old is None:
                    old = set(_NUMBER.findall(before))
                fresh = {int(found) for found in _NUMBER.findall(row.payload) if found not in old}
                numbers.update(fresh)
                ports = {packet.sport, *(int(found) for found in _PORTS.findall(before))}
                gaps.update(gap for one in fresh for port in ports for gap in _gaps(one, port))
                addresses.update(set(_IPV4.findall(row.payload)) - set(_IPV4.findall(before)))
    found = [each for each, _ in numbers.most_common(_NUMBERS)]
    found += [each for each, _ in gaps.most_common(_DIFFERENCES)]
    return Constants(
        tuple(dict.fromkeys(found)), tuple(each.decode() for each, _ in addresses.most_common(_ADDRESSES))
    )


def _gaps(number: int, port: int) -> Iterator[int]:
    """What makes one of the other, modulo 65536."""
    yield from (gap for gap in (number - port, number - port + 65536) if gap > 999)


def search(observed: Observed, *, beam: int = 5, depth: int = 3, most: int = 1_000_000) -> Found:
    """Look for models at the least distance. ``most``: packets that are sent through candidates, in all."""
    packets = sum(len(each.crossings) for each in observed.pairs)
    return _Search(observed, most // max(packets, 100)).run(beam, depth)


class _Search:
    def __init__(self, observed: Observed, most: int) -> None:
        self._observed = observed
        self._most = most
        self._start = time.process_time()
        self._seen: set[str] = set()
        known = models()
        self._controls = {each.id: each for each in known if each.card.kind == "control"}
        self._bases = {name: distance(observed, each) for name, each in self._controls.items()}

    def run(self, beam: int, depth: int) -> Found:
        scored = [_Scored(self._bases[name], 0, each) for name, each in self._controls.items()]
        pool = list(self._singles())
        self._seen |= {each.id for each in pool}
        # Most often one of them does all that was seen, or nearly: of the others the first differences tell.
        packets = sum(len(each.crossings) for each in self._observed.pairs)
        near = packets // _NEARLY if packets > _MANY else 0
        singles = [_Scored(distance(self._observed, each, near), 1, each) for each in pool]
        if min(each.distance for each in scored + singles) > near:
            # How far off one is that is no better than a router without a fault is no matter.
            limit = min(self._bases.values())
            singles = [_Scored(distance(self._observed, each, limit), 1, each) for each in pool]
        scored += singles
        scored.sort(key=lambda each: each.rank)
        unshown: list[str] = []
        if scored[0].distance:
            unshown = self._unshown(scored)
            scored += self._compositions(scored, unshown, beam, depth)
            scored.sort(key=lambda each: each.rank)
        elif scored[0].model.card.kind == "control":
            unshown = [
                each.model.id
                for each in scored
                if not each.distance and each.model.card.kind == "fault" and "(" not in each.model.id
            ]
        best = scored[0]
        tie = [best.model]
        if best.model.card.kind != "control":
            tie = [each.model for each in scored if each[:2] == best[:2]]
        tried = len(self._seen) + len(self._controls)
        return Found(tuple(tie), best.distance, tuple(unshown), tried, time.process_time() - self._start)

    def _singles(self) -> Iterator[Model]:
        """Each model and variant of the catalogue, and each with the router's own constants."""
        known = models()
        wrote = constants(self._observed)
        for each in known.runnable():
            if each.card.kind in ("fault", "reference-implementation"):
                yield each
        seen = {each.id for each in known.runnable()}
        for model in known:
            for name, value in model.parameters.items() if model.card.kind == "fault" else ():
                values: Sequence[object] = ()
                if name == "address":
                    values = wrote.addresses
                elif isinstance(value, int | float) and not isinstance(value, bool):
                    values = wrote.numbers
                for one in values:
                    try:
                        changed = model.with_parameters({name: type(value)(one)})
                    except (UsageError, ValueError):
                        continue
                    if changed.id not in seen:
                        seen.add(changed.id)
                        yield changed

    def _base(self, model: Model) -> str:
        return "correct" if model.recipe.base else "none"

    def _unshown(self, scored: Sequence[_Scored]) -> list[str]:
        """Faults with which all that leaves is as without them."""
        plain = {name: behaviour(self._observed, each) for name, each in self._controls.items()}
        return [
            each.model.id
            for each in scored
            if each.model.card.kind == "fault"
            and each.distance == self._bases[self._base(each.model)]
            and behaviour(self._observed, each.model) == plain[self._base(each.model)]
        ]

    def _compositions(
        self, scored: Sequence[_Scored], unshown: Sequence[str], beam: int, depth: int
    ) -> list[_Scored]:
        """Two faults and more in one router, grown from the best ones."""
        hidden = set(unshown)
        nearest = min(self._bases, key=lambda name: self._bases[name])
        faults = [
            each for each in scored if each.model.card.kind == "fault" and self._base(each.model) == nearest
        ]
        usable = [each for each in faults if each.model.id not in hidden]
        # Most parts of a composition explain something alone; others are tried only where those do not do.
        helpful = [each for each in usable if each.distance < self._bases[self._base(each.model)]]
        all_found: list[_Scored] = []
        least = scored[0].distance
        for parts in (helpful, usable):
            front = [each for each in scored if each.model.card.kind != "control"][:beam]
            for size in range(2, depth + 1):
                if not least or len(self._seen) > self._most:
                    return all_found
                grown = list(self._grown(front, parts, size))
                all_found += grown
                front = sorted(grown, key=lambda each: each.rank)[:beam]
                least = min([least, *(each.distance for each in front[:1])])
        return all_found

    def _grown(self, front: Sequence[_Scored], parts: Sequence[_Scored], size: int) -> Iterator[_Scored]:
        for one in front:
            for part in parts:
                for first, second in ((one.model, part.model), (part.model, one.model)):
                    try:
                        both = first.plus(second)
                    except UsageError:
                        continue
                    if both.id in self._seen or len(self._seen) > self._most:
                        continue
                    self._seen.add(both.id)
                    yield _Scored(distance(self._observed, both, one.distance), size, both)
