"""Finds messages that a gateway handled otherwise than the controls would have.

The packets that entered each gateway go, at the same times, through a gateway without an ALG and through one
with a correct ALG. If the gateway handled a message unlike both of them, its ALG's fault shows there.
"""

from __future__ import annotations

from bisect import bisect_right

from siplab.alg_models.controls import CORRECT, NONE
from siplab.experiments.output.journeys import Journey
from siplab.experiments.trial.counterfactual.packets import through
from siplab.lab.gateway.gateway import Emission
from siplab.lab.wire import ip
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace, looks_like_sip


def deviations(trace: Trace, network: Network, journeys: list[Journey], seed: object = None) -> list[Journey]:
    """The messages that a gateway handled unlike both controls, in order.

    ``seed``: of the trial's world; it matters only if ports are allocated at random.
    """
    places: list[int] = []
    for order, passage, emitted in through(trace, network, [NONE, CORRECT], seed):
        own = _payloads(passage.emissions)
        others = [_payloads(each) for each in emitted]
        if own not in others and any(looks_like_sip(each) for each in (*own, *others[0])):
            places.append(order)
    starts = [each.order for each in journeys]
    # Each packet is carried to its end before the next one. So a passage belongs to the latest journey begun.
    numbers = dict.fromkeys(bisect_right(starts, order) - 1 for order in places)
    return [journeys[number] for number in numbers if number >= 0]


def _payloads(emissions: list[Emission]) -> list[bytes]:
    found = []
    for each in emissions:
        if each.side is not None:
            try:
                found.append(ip.parse(each.packet).payload)
            except MalformedPacketError:
                continue
    return found
