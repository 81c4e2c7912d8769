"""Which models do the same to a pair's packets: its tie.

Every model gets what entered the router, and what leaves it is compared with what left. Two models in one
tie can't be told apart by these packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, MalformedPacketError
from siplab.lab.worlds.open_loop import Crossing, Pair, Script, play, replay

MakeGateway = Callable[[Model], Gateway]


class Arrival(NamedTuple):
    """A packet that left the router, without what a hop changes. ``numbers``: TCP's, and its flags."""

    side: Side
    protocol: int
    source: Endpoint
    destination: Endpoint
    payload: bytes
    numbers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Tie:
    """``models``: those that differ from what was seen in the fewest packets; ``differing``: in how many.

    ``of``: packets that were compared.
    """

    models: tuple[Model, ...]
    differing: int
    of: int

    @property
    def exact(self) -> bool:
        """Whether they reproduce all that was seen."""
        return not self.differing


def tie(seen: Pair, models: Iterable[Model], make_gateway: MakeGateway) -> Tie:
    """The models that reproduce what was seen, or most nearly so. ``make_gateway``: a fresh router."""
    wanted = [arrivals(each, whole=seen.whole) for each in seen.crossings]
    best: list[Model] = []
    fewest = len(wanted) + 1
    for model in models:
        made = replay(seen, make_gateway(model))
        differing = sum(
            arrivals(each, whole=seen.whole) != left
            for each, left in zip(made.crossings, wanted, strict=True)
        )
        if differing < fewest:
            best, fewest = [], differing
        if differing == fewest:
            best.append(model)
    return Tie(tuple(best), fewest, len(wanted))


def classes(script: Script, models: Iterable[Model], make_gateway: MakeGateway) -> list[tuple[Model, ...]]:
    """Models in groups that a script does not tell apart, in order of their first members."""
    groups: dict[tuple[object, ...], list[Model]] = {}
    for model in models:
        made = play(script, make_gateway(model))
        key = tuple((each.packet, arrivals(each)) for each in made.crossings)
        groups.setdefault((hash(key),), []).append(model)
    return [tuple(each) for each in groups.values()]


def arrivals(crossing: Crossing, *, whole: bool = True) -> tuple[Arrival, ...]:
    """What of a crossing's packets arrives: no host takes one with a wrong checksum.

    ``whole``: TCP's numbers count, which sockets don't tell.
    """
    found = []
    for side, data in crossing.left:
        try:
            packet = ip.parse(data)
        except MalformedPacketError:
            continue
        if ip.verify(data):
            continue
        tcp = whole and packet.protocol == ip.TCP and bool(packet.transport)
        numbers: tuple[int, ...] = (packet.seq, packet.ack, packet.flags) if tcp else ()
        if packet.is_fragment:
            numbers = (packet.identification, packet.fragment_offset) if whole else ()
        found.append(
            Arrival(side, packet.protocol, packet.source, packet.destination, packet.payload, numbers)
        )
    return tuple(found)
