"""Whether a router's fault was within reach of what a detector did, and what the router changed.

The rule: the packets that entered each gateway of the trial go, at the same times, through a fresh gateway
without an ALG, of the same NAT settings and with the same seed. Where both emit the same packets on the same
sides, the exchange was what a clean router would have given, and no detector can know better from it: the
fault was *out of reach*. Any other byte, a packet more or a packet less puts it within reach.

- The IP identification and the header checksum that goes with it do not count: routers choose them freely.
- Notes do not count, nor does a packet that both drop for different reasons: nobody sees those.
- What the router answers itself, and the public port that it chose, do count: both are seen outside.
- A timer that the model imposes counts when it ran out on a packet of this exchange, and only then.
- The NAT draws from a generator of its own, so a model that draws random numbers moves no port. Where ports
  are allocated at random, one that reserves ports for itself does, and these count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from siplab.alg_models.controls import NONE
from siplab.experiments.trial.counterfactual.packets import through
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import MalformedPacketError, Packet
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace, looks_like_sip


@dataclass(frozen=True)
class Reach:
    """``touched``: a router without an ALG would have emitted something else.

    ``changed``: the parts of SIP messages that the routers rewrote, by the names of ``lab.wire.compare``.
    """

    touched: bool
    changed: tuple[str, ...] = ()


def measure(trace: Trace, network: Network, seed: object) -> Reach:
    """Replay a trial's packets. ``seed``: the one that the trial's world was made with."""
    touched = False
    changed: dict[str, None] = {}
    for _, passage, (expected,) in through(trace, network, [NONE], seed):
        if expected == passage.emissions or _seen(expected) == _seen(passage.emissions):
            continue
        touched = True
        for before, after in _rewritten(passage.packet, expected, passage.emissions):
            changed |= dict.fromkeys(differences(before, after))
    return Reach(touched, tuple(changed))


def _seen(emissions: list[Emission]) -> list[tuple[Side, bytes]]:
    """What leaves the router, in order, without what routers choose freely."""
    return [(each.side, _settled(each.packet)) for each in emissions if each.side is not None]


def _settled(packet: bytes) -> bytes:
    if packet[:1] and packet[0] >> 4 == 4:
        return packet[:4] + packet[6:10] + packet[12:]
    return packet


def _rewritten(
    packet: bytes, expected: list[Emission], emissions: list[Emission]
) -> Iterator[tuple[bytes, bytes]]:
    """The SIP of each packet that the ALG changed: as it would have left, and as it left."""
    unchanged = next((each for each in map(_parsed, _packets(expected)) if each is not None), _parsed(packet))
    if unchanged is None or unchanged.is_fragment:
        return
    for emission in emissions:
        if emission.side is None or emission.originated or not emission.changed:
            continue
        after = _parsed(emission.packet)
        if after is not None and not after.is_fragment and looks_like_sip(unchanged.payload):
            yield unchanged.payload, after.payload


def _packets(emissions: list[Emission]) -> list[bytes]:
    return [each.packet for each in emissions if each.side is not None and not each.originated]


def _parsed(data: bytes) -> Packet | None:
    try:
        return ip.parse(data)
    except MalformedPacketError:
        return None
