"""Compares two captures of one exchange, one from each side of a router: what did the router do?

The rules of this file:

- ``alg`` needs a message that came out with other bytes than it went in with, or messages that the router
  made.
- ``clean`` needs messages that came out as they went in. If a request was sent repeatedly and never came out,
  the verdict is ``undecided``: the router may drop the request, or the capture may lack it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from siplab.experiments.captures.media import Stream, streams
from siplab.experiments.captures.pairing import Message, Pair, Pairing, pair
from siplab.experiments.captures.reading import Capture
from siplab.lab.wire.ip import Endpoint

_AGAIN: Final = 3  # from so many copies of a request that never came out, chance is ruled out


class Verdict(StrEnum):
    """What two captures say of a router."""

    CLEAN = "clean"
    ALG = "alg"
    UNDECIDED = "undecided"


class Mapping(NamedTuple):
    """An endpoint inside, and the one that stands for it outside."""

    inside: Endpoint
    outside: Endpoint


class Marking(NamedTuple):
    """DSCP (RFC 2474) of messages that came out with another one."""

    before: int
    after: int


@dataclass(frozen=True)
class Comparison:
    """What two captures show.

    ``blocked``: requests of which several copies went in and none came out. ``mappings``: the NAT's, the most
    used first. ``never_left``, ``never_arrived``: media streams that are in one capture only.
    ``longest_through``: bytes of the longest message that came out; ``shortest_blocked``: bytes of the
    shortest one of ``blocked``. 0: there is none.
    """

    pairing: Pairing
    mappings: tuple[Mapping, ...]
    markings: dict[Marking, int]
    never_left: tuple[Stream, ...]
    never_arrived: tuple[Stream, ...]

    @property
    def renewed(self) -> int:
        """How many messages came out with a higher TTL than they had. Routers lower it (RFC 1812)."""
        pairs = [(each.sent.datagram.ttl, each.came.datagram.ttl) for each in self.pairing.pairs]
        return sum(0 < before < after for before, after in pairs)

    @property
    def blocked(self) -> list[Message]:
        return [
            each
            for each in self.pairing.missing
            if not each.parsed.status and len(each.times) >= _AGAIN and each.datagram.transport == "udp"
        ]

    @property
    def verdict(self) -> Verdict:
        if self.pairing.changed or self.pairing.made:
            return Verdict.ALG
        if self.blocked or not self.pairing.pairs:
            return Verdict.UNDECIDED
        return Verdict.CLEAN

    @property
    def changed_parts(self) -> Counter[tuple[bool, str]]:
        """In how many messages each part was changed, by direction (outbound?) and name."""
        return Counter((each.sent.outbound, part) for each in self.pairing.changed for part in each.changed)

    @property
    def longest_through(self) -> int:
        return max((len(each.sent.payload) for each in self.pairing.pairs), default=0)

    @property
    def shortest_blocked(self) -> int:
        return min((len(each.payload) for each in self.blocked), default=0)


def compare(inside: Capture, outside: Capture) -> Comparison:
    """Compare a capture of the inside with one of the outside."""
    pairing = pair(inside.messages, outside.messages)
    mappings = _mappings(pairing.pairs)
    here, there = streams(inside.packets), streams(outside.packets)
    behind = {each.inside.ip for each in mappings}
    fronts = {each.outside.ip for each in mappings}
    known_here = {(each.ssrc, each.payload_type) for each in here}
    known_there = {(each.ssrc, each.payload_type) for each in there}
    return Comparison(
        pairing,
        mappings,
        _markings(pairing.pairs),
        tuple(
            each
            for each in here
            if each.source.ip in behind and (each.ssrc, each.payload_type) not in known_there
        ),
        tuple(
            each
            for each in there
            if each.destination.ip in fronts and (each.ssrc, each.payload_type) not in known_here
        ),
    )


def _mappings(pairs: tuple[Pair, ...]) -> tuple[Mapping, ...]:
    found = Counter(
        Mapping(each.sent.datagram.source, each.came.datagram.source)
        if each.sent.outbound
        else Mapping(each.came.datagram.destination, each.sent.datagram.destination)
        for each in pairs
    )
    return tuple(each for each, _ in found.most_common())


def _markings(pairs: tuple[Pair, ...]) -> dict[Marking, int]:
    found = Counter(
        Marking(each.sent.datagram.dscp, each.came.datagram.dscp)
        for each in pairs
        if each.sent.datagram.dscp != each.came.datagram.dscp
        and each.sent.datagram.transport == each.came.datagram.transport == "udp"
    )
    return dict(found)
