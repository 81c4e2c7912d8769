"""Sends the packets of a trace again, at the same times, through gateways with other models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.sides import Emission
from siplab.lab.worlds.base import make_gateways
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Passage, Remark, Trace, WorldEvent


class Crossing(NamedTuple):
    """A packet that passed a gateway. ``order``: its place in the trace; ``others``: what others emit."""

    order: int
    passage: Passage
    others: list[list[Emission]]


def through(
    trace: Trace, network: Network, models: Sequence[Model | Mapping[str, Model]], seed: object
) -> Iterator[Crossing]:
    """Each passage of a trace, with what gateways with other models emit for the packet.

    ``models``: one model for all gateways, or a map from gateways' names to models. ``seed``: that of the
    trial's world. Where a router rebooted or got another address, so do these gateways.
    """
    gateways = network.topology.gateways
    chosen = [each if isinstance(each, Mapping) else dict.fromkeys(gateways, each) for each in models]
    rows = [make_gateways(network, each, seed) for each in chosen]
    for order, record in enumerate(trace):
        if isinstance(record, Passage):
            others = [row[record.gateway].handle(record.packet, record.side, record.now) for row in rows]
            yield Crossing(order, record, others)
        elif isinstance(record, Remark) and record.kind is WorldEvent.REBOOTED:
            for row in rows:
                row[record.who].reboot()
        elif isinstance(record, Remark) and record.kind is WorldEvent.RENUMBERED:
            for row in rows:
                row[record.who].renumber()
