"""The packets of a trace once more, at the same times, through gateways with other models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.sides import Emission
from siplab.lab.worlds.base import make_gateways
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Passage, Remark, Trace, WorldEvent


class Crossing(NamedTuple):
    """A packet that a gateway had: ``order``, its place in the trace; ``others``: what other models emit."""

    order: int
    passage: Passage
    others: list[list[Emission]]


def through(
    trace: Trace, network: Network, models: Sequence[Model | Mapping[str, Model]], seed: object
) -> Iterator[Crossing]:
    """Each passage of a trace with what gateways emit that have one of ``models`` each, or those of a map.

    ``seed``: that of the trial's world. Where a router was rebooted or got another address, these do too.
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
