"""Compares a candidate model with an observed router: how far is one from the other?

No model can know which public ports the observed router chose. So the candidate's router is given them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from siplab.experiments.learning.observations import Place, place_of
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.wire.labels import label_of
from siplab.lab.wire.sip import SipMessage
from siplab.lab.worlds.pair import Arrival, Crossing, Pair, arrivals
from siplab.lab.worlds.replaying import replayed
from siplab.lab.worlds.trace import looks_like_sip

Arrivals = tuple[Arrival, ...]

_OTHERWISE: Final = 4  # counts as this many parts: a packet leaves only one of the two routers


@dataclass(frozen=True)
class Observed:
    """What an observed router did. ``nat``: its settings, as far as they are known.

    ``stands``: where it stands; ``None``: this is worked out from its packets.
    """

    pairs: tuple[Pair, ...]
    nat: NatConfig = field(default_factory=NatConfig)
    stands: Place | None = None

    @cached_property
    def place(self) -> Place:
        """Where the router stands in the network."""
        return self.stands or place_of(self.pairs)

    @cached_property
    def messages(self) -> int:
        """How many of the packets that entered are SIP messages."""
        return sum(_is_message(each) for pair in self.pairs for each in pair.crossings)


def _is_message(each: Crossing) -> bool:
    return looks_like_sip(payload_of(each.packet))


def payload_of(packet: bytes) -> bytes:
    """What a packet carries; empty if the packet can't be parsed."""
    try:
        return ip.parse(packet).payload
    except MalformedPacketError:
        return b""


class Played(NamedTuple):
    """A packet that entered, and what arrived of it: behind the observed router, behind a candidate's."""

    entered: Crossing
    seen: Arrivals
    made: Arrivals


def played(observed: Observed, model: Model, pair: Pair) -> Iterator[Played]:
    """What leaves a router that has the model."""
    place = observed.place
    gateway = Gateway(
        model,
        public_ip=pair.public,
        inside_networks=place.inside_networks,
        inside_addresses=place.inside_addresses,
        nat=observed.nat,
        rng=random.Random(0),
    )
    for entered, seen, made in zip(pair.crossings, pair.arrivals, replayed(pair, gateway), strict=True):
        yield Played(entered, seen, seen if made.left == entered.left else arrivals(made, whole=pair.whole))


def distance(observed: Observed, model: Model, limit: float = float("inf")) -> float:
    """How far a router with the model is from the observed one. 0: all that leaves is the same.

    Each changed part of a message counts 1. Stops counting as soon as the distance is over ``limit``.
    """
    total = 0.0
    for pair in observed.pairs:
        for each in played(observed, model, pair):
            if each.made != each.seen:
                total += apart(each.made, each.seen)
                if total > limit:
                    return total
    return total


def apart(mine: Arrivals, seen: Arrivals) -> float:
    """The distance for one entered packet. 0: the same leaves; each changed part counts 1."""
    if len(mine) != len(seen):
        return _OTHERWISE
    total = 0.0
    for one, other in zip(mine, seen, strict=True):
        if one == other:
            continue
        if one.side is not other.side or one.protocol != other.protocol:
            total += _OTHERWISE
            continue
        total += 1 + len(differences(one.payload, other.payload))
        total += (one.source != other.source) + (one.destination != other.destination)
    return total


@dataclass
class Agreement:
    """``equal`` of ``total`` SIP messages came out as observed. ``otherwise``: how the others differed."""

    equal: int = 0
    total: int = 0
    otherwise: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        return self.equal / self.total if self.total else 1.0


def agreement(observed: Observed, model: Model, conversations: Collection[str] | None = None) -> Agreement:
    """Compare a router that has the model with the observed one.

    ``conversations``: only these count; ``None``: all.
    """
    found = Agreement()
    for pair in observed.pairs:
        for entered, seen, made in played(observed, model, pair):
            counts = conversations is None or entered.conversation in conversations
            if not counts or not _is_message(entered):
                continue
            found.total += 1
            if made == seen:
                found.equal += 1
                continue
            message = SipMessage.parse(payload_of(entered.packet))
            where = f"{label_of(message) or 'message'} {'out' if entered.side is Side.INSIDE else 'in'}: "
            if len(made) != len(seen):
                found.otherwise[where + ("something else leaves" if seen else "does not leave")] += 1
                continue
            for mine, other in zip(made, seen, strict=True):
                for part in differences(mine.payload, other.payload) or ["where it goes"] * (mine != other):
                    found.otherwise[where + part] += 1
    return found
