"""Searches the catalogue for models, and compositions of faults, that do what a router was seen to do.

The rules of this file:

- Values of parameters come from the observations: numbers and addresses that the router wrote and that were
  not in the packet before, and the lengths of messages that did not leave.
- If two values of a fault's parameter are equally far off in every conversation, only the first is followed
  up. This does not hold for reference implementations: each is compared with all that was seen, before
  faults are combined to imitate it.
- All models that explain equally much are named: a *tie*. But if a router without a fault is among them, it
  alone is named. What a conversation does not show is no reason to accuse a router.
- Each further fault must explain half of what is left, since a real router is not perfectly regular either.
- A fault that needs no ALG may be combined with an ALG. The catalogue has no id for such a router. It is only
  a starting point, to which further faults are added.
- Faults that would not show in these conversations are listed.
- The search ends after a number of packets was sent through candidates, and says so.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, NamedTuple

from siplab.experiments.learning.candidates import Observed
from siplab.experiments.learning.scoring import Conversation, Score, Scorer, telling
from siplab.experiments.trial.run import models
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.worlds.trace import looks_like_sip

_NUMBER: Final = re.compile(rb"(?<![.\d])\d{1,9}(?![.\d])")
_IPV4: Final = re.compile(rb"(?<![.\d])(?:\d{1,3}\.){3}\d{1,3}(?![.\d])")
_PORTS: Final = re.compile(rb"(?:m=audio |:)(\d{4,5})")
MOST: Final = 100_000  # packets that are sent through candidates
_WORTH: Final = 0.5  # the share of the differences that may be left by one more fault
_NEARLY: Final = 60  # in so many packets, one difference is near enough
_HICCUP: Final = 8  # the distance of two packets that were late or lost
_FOCUS: Final = 30  # packets, about: the size of the part on which models are first compared
_FAR: Final = 8  # a model this many times as far off as the nearest one gets no further faults
_LOOKED_AT: Final = 2  # times as many models as are kept are scored on all that was seen
_NUMBERS, _DIFFERENCES, _ADDRESSES, _STEPS, _LENGTHS = 12, 6, 4, 4, 3  # constants tried, per kind
_STEP: Final = 16  # a port differs at most by this from a neighbouring one


class Constants(NamedTuple):
    """What a router wrote on its own account, the most frequent first."""

    numbers: tuple[int, ...]
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """The result of a search.

    ``tie``: the models at the least ``distance``; the first is the one that is named. ``unshown``: ids of
    faults that would not show in these conversations. ``tried``: number of candidates. ``packets``: how many
    were sent through them. ``ended``: this number reached its limit, so a nearer model may have been missed.
    ``seconds``: CPU time.
    """

    tie: tuple[Model, ...]
    distance: float
    unshown: tuple[str, ...]
    tried: int
    packets: int
    ended: bool
    seconds: float

    @property
    def model(self) -> Model:
        return self.tie[0]


class _Scored(NamedTuple):
    distance: float
    size: int  # number of faults
    model: Model
    where: Counter[Conversation]

    @property
    def rank(self) -> tuple[float, bool, int, bool]:
        """Nearer ones first; among equals routers without a fault, then fewer faults, then no parameters."""
        return self.distance, self.model.card.kind != "control", self.size, "(" in self.model.id


def constants(observed: Observed) -> Constants:
    """Numbers that the router wrote, their differences to the message's ports, and addresses that it wrote.

    Also the lengths of messages that did not leave, perhaps because they were longer than a limit.
    """
    numbers: Counter[int] = Counter()
    gaps: Counter[int] = Counter()
    steps: Counter[int] = Counter()
    lengths: set[int] = set()
    addresses: Counter[bytes] = Counter()
    for pair in observed.pairs:
        chosen = {port for uses in pair.ports_used.values() for _, port in uses}  # by the router's NAT
        for each, left in zip(pair.crossings, pair.arrivals, strict=True):
            try:
                packet = ip.parse(each.packet)
            except MalformedPacketError:
                continue
            before = packet.payload
            if not left and looks_like_sip(before):
                lengths.add(len(before) - 1)
            old: set[bytes] | None = None
            for row in left:
                if row.payload == before:
                    continue
                if old is None:
                    old = set(_NUMBER.findall(before))
                fresh = {int(found) for found in _NUMBER.findall(row.payload) if found not in old}
                numbers.update(fresh - chosen)
                ports = {packet.sport, *(int(found) for found in _PORTS.findall(before))}
                gaps.update(gap for one in fresh for port in ports for gap in _gaps(one, port))
                steps.update(one - port for one in fresh for port in ports if abs(one - port) <= _STEP)
                addresses.update(set(_IPV4.findall(row.payload)) - set(_IPV4.findall(before)))
    found = [each for each, _ in numbers.most_common(_NUMBERS)]
    found += [each for each, _ in gaps.most_common(_DIFFERENCES)]
    found += [each for each, _ in steps.most_common(_STEPS)]
    found += sorted(lengths)[-_LENGTHS:]
    return Constants(
        tuple(dict.fromkeys(found)), tuple(each.decode() for each, _ in addresses.most_common(_ADDRESSES))
    )


def _gaps(number: int, port: int) -> Iterator[int]:
    """What added to the port gives the number, modulo 65536."""
    yield from (gap for gap in (number - port, number - port + 65536) if gap > 999)


def search(
    observed: Observed, *, beam: int = 4, depth: int = 3, most: int = MOST, unshown: bool = True
) -> Found:
    """Look for the models at the least distance.

    ``beam``: how many models are kept at each step. ``depth``: faults in one router at most. ``most``:
    packets that may be sent through candidates, in all. ``unshown``: also list faults that would not show.
    """
    return _Search(observed, most).run(beam, depth, unshown=unshown)


def _named(scored: Sequence[_Scored]) -> _Scored:
    """The nearest one. Each further fault must at least halve the distance."""
    best = min((each for each in scored if not each.size), key=lambda each: each.rank)
    for each in sorted(scored, key=lambda each: (each.size, each.rank)):
        if each.distance < best.distance and (
            each.size == best.size or each.distance <= best.distance * _WORTH ** (each.size - best.size)
        ):
            best = each
    return best


def _fault(model: Model) -> str:
    """The model's id without parameters."""
    return model.id.partition("(")[0]


class _Search:
    def __init__(self, observed: Observed, most: int) -> None:
        self._observed = observed
        self._scorer = Scorer(most)
        self._start = time.process_time()
        self._seen: set[str] = set()
        known = models()
        self._controls = {
            each.id: self._scored(each, 0, float("inf")) for each in known if each.card.kind == "control"
        }
        self._nearest = min(self._controls.values(), key=lambda each: each.distance)
        self._without_alg = {each.id for each in known if each.card.kind == "fault" and not each.recipe.base}

    def run(self, beam: int, depth: int, *, unshown: bool) -> Found:
        pool = list(self._singles())
        scored = list(self._controls.values())
        if self._nearest.distance:
            part = telling(self._observed, self._nearest.where)
            scored += self._nearest_of(self._alike(pool, part), len(pool))
            if min(each.distance for each in scored):
                parts = [self._beside_alg(each) for each in pool]
                helpful = self._helpful(parts, self._focus(self._nearest))
                named = [each for each in helpful if self._has_name(each)]
                whole = [each for each in named if each.card.kind == "reference-implementation"]
                scored += self._nearest_of(whole, len(whole))
                scored += self._nearest_of(named, beam * _LOOKED_AT)
                if min(each.distance for each in scored):
                    beside = [each for each in helpful if not self._has_name(each)][:beam]
                    singles = [*scored, *(self._scored(each, 1, float("inf")) for each in beside)]
                    scored += self._compositions(singles, parts, beam, depth)
            if _named(scored).distance > _HICCUP:
                scored += self._variants(pool, _named(scored))
                scored += self._others(pool, {each.model.id for each in scored})
        scored.sort(key=lambda each: each.rank)
        best = _named(scored)
        tie = [best.model]
        if best.model.card.kind != "control":
            tie = _one_of_each(each.model for each in scored if each[:2] == best[:2])
        spent = self._scorer.is_spent
        asked = unshown and (best.distance or best.model.card.kind == "control")
        hidden = tuple(self._unshown(pool)) if asked else ()
        tried = len(pool) + len(self._controls) + sum("+" in each for each in self._seen)
        seconds = time.process_time() - self._start
        return Found(tuple(tie), best.distance, hidden, tried, self._scorer.packets, spent, seconds)

    def _scored(self, model: Model, size: int, limit: float) -> _Scored:
        score = self._scorer.score(self._observed, model, limit)
        return _Scored(score.distance, size, model, score.where)

    def _singles(self) -> Iterator[Model]:
        """Each model and variant of the catalogue, and each fault with constants that the router wrote."""
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

    def _base(self, model: Model) -> Model:
        return self._controls["correct" if model.recipe.base else "none"].model

    def _focus(self, one: _Scored) -> Observed:
        """A part of what the model does otherwise, small enough to compare many models on it."""
        return telling(self._observed, one.where, _FOCUS, earlier=True)

    def _beside_alg(self, model: Model) -> Model:
        """A fault that needs no ALG, combined with the ALG that the router seems to have. Else unchanged."""
        recipe = self._nearest.model.recipe
        if model.card.kind != "fault" or model.recipe.base or not recipe.base:
            return model
        return Model(model.id, model.card, recipe.plus(model.recipe))

    def _has_name(self, model: Model) -> bool:
        """Whether the catalogue has an id for this model."""
        faults = {each.partition("(")[0] for each in model.id.split("+")}
        return not (model.recipe.base and faults <= self._without_alg)

    def _alike(self, pool: Sequence[Model], part: Observed) -> list[Model]:
        """Models that do nearly all of a part in which the nearest control differs from the router.

        A wrong model differs within the first packets. So this takes few packets.
        """
        limit = min(_HICCUP, self._scorer.score(part, self._nearest.model).distance * _WORTH)
        rated = []
        for model in pool:
            if self._scorer.is_spent:
                break
            score = self._scorer.score(part, model, limit)
            if score.distance <= limit:
                rated.append((score.distance, model))
        return [model for _, model in sorted(rated, key=lambda each: each[0])]

    def _helpful(self, pool: Sequence[Model], part: Observed) -> list[Model]:
        """Models with an effect of their own that are no further off on a part than the nearest control.

        The nearest come first.
        """
        plain = {name: self._scorer.left(part, each.model) for name, each in self._controls.items()}
        most = self._scorer.score(part, self._nearest.model).distance
        rated: list[tuple[float, Model]] = []
        idle: set[str] = set()
        alike: set[_Likeness] = set()
        for model in pool:
            name = _fault(model)
            if name in idle or self._scorer.is_spent:
                continue  # a fault without any effect has none with other values either
            score = self._scorer.score(part, model, most, plain[self._base(model).id])
            if score.plain and name == model.id:
                idle.add(name)
            elif (
                score.distance <= most
                and not score.plain
                and (model.card.kind == "reference-implementation" or _is_new(name, score, alike))
            ):
                rated.append((score.distance, model))
        return [model for _, model in sorted(rated, key=lambda each: each[0])]

    def _nearest_of(self, models: Sequence[Model], most: int) -> Iterator[_Scored]:
        """The first of the models, scored on all that was seen, if no further off than the best control."""
        limit, number = self._nearest.distance, 0
        for model in models:
            number += model.id not in self._seen
            if model.id in self._seen or (number > most and limit):
                continue
            self._seen.add(model.id)
            found = self._scored(model, 1, limit)
            if found.distance <= limit:
                yield found
            if not found.distance:
                limit = 0.0  # from now on only models without a difference count

    def _variants(self, pool: Sequence[Model], best: _Scored) -> Iterator[_Scored]:
        """The same fault with other values, if it does not explain all: few packets may not separate them."""
        if best.size == 1:
            alike = (each for each in pool if _fault(each) == _fault(best.model) and each.id != best.model.id)
            yield from self._within(alike, best.distance)

    def _others(self, pool: Sequence[Model], known: Collection[str]) -> Iterator[_Scored]:
        """Models that are near on all that was seen. What they do may not show in a part of it."""
        packets = sum(len(each.crossings) for each in self._observed.pairs)
        left = takewhile(lambda _: not self._scorer.is_spent, pool)
        others = (each for each in left if each.id not in known)
        yield from self._within(others, max(_HICCUP, packets // _NEARLY))

    def _within(self, models: Iterable[Model], limit: float) -> Iterator[_Scored]:
        """Models that are within ``limit`` on all that was seen."""
        for model in models:
            found = self._scored(model, 1, limit)
            if found.distance <= limit:
                yield found

    def _unshown(self, pool: Sequence[Model]) -> Iterator[str]:
        """Faults with which everything leaves as without them."""
        plain = {name: self._scorer.left(self._observed, each.model) for name, each in self._controls.items()}
        for model in pool:
            if self._scorer.is_spent:
                return
            named = model.card.kind == "fault" and "(" not in model.id
            if named and self._scorer.is_as(self._observed, model, plain[self._base(model).id]):
                yield model.id

    def _compositions(
        self, singles: Sequence[_Scored], pool: Sequence[Model], beam: int, depth: int
    ) -> list[_Scored]:
        """Models of two or more faults. The nearest one is extended first, however many faults it has."""
        found: list[_Scored] = []
        front = [each for each in singles if each.size]
        least = min((each.distance for each in front), default=0.0)
        for _ in range(beam * (depth - 1)):
            front.sort(key=lambda each: each.rank)
            if not front or not 0 < front[0].distance <= least * _FAR or self._scorer.is_spent:
                break
            grown = [*self._grown(front.pop(0), pool, beam)]
            found += [each for each in grown if self._has_name(each.model)]
            front += [each for each in grown if each.size < depth or not each.distance]
            least = min([least, *(each.distance for each in grown)])
        return found

    def _grown(self, one: _Scored, pool: Sequence[Model], most: int) -> Iterator[_Scored]:
        """Models with one more fault that are nearer. A few packets choose which are scored on everything."""
        focus = self._focus(one)
        left = self._scorer.left(focus, one.model)
        far = self._scorer.score(focus, one.model).distance
        rated: list[tuple[float, Model]] = []
        idle: set[str] = set()
        alike: set[_Likeness] = set()
        for part in pool:
            name = _fault(part)
            if part.card.kind != "fault" or name in idle:
                continue
            for first, second in ((one.model, part), (part, one.model)):
                try:
                    both = first.plus(second)
                except UsageError:
                    continue
                if both.id in self._seen or self._scorer.is_spent:
                    continue
                score = self._scorer.score(focus, both, far, left)
                if score.plain:
                    if name == part.id:
                        idle.add(name)
                    break  # the other order has no more effect
                if score.distance < far and _is_new(name, score, alike):
                    rated.append((score.distance, both))
                if not score.distance:
                    break  # the other order can do no better
        limit = one.distance
        for _, both in sorted(rated, key=lambda each: each[0])[: most * _LOOKED_AT]:
            self._seen.add(both.id)
            found = self._scored(both, one.size + 1, limit)
            if found.distance < one.distance and found.distance <= limit:
                yield found
            if not found.distance:
                limit = 0.0  # from now on only models without a difference count


_Likeness = tuple[str, frozenset[tuple[Conversation, int]]]


def _is_new(name: str, score: Score, alike: set[_Likeness]) -> bool:
    """Whether no other value of the fault's parameters was equally far off in every conversation."""
    likeness = name, frozenset(score.where.items())
    known = likeness in alike
    alike.add(likeness)
    return not known


def _one_of_each(found: Iterable[Model]) -> list[Model]:
    """The first of those compositions that have the same faults in another order."""
    return list({frozenset(each.id.split("+")): each for each in reversed([*found])}.values())[::-1]
