"""Finds out whether a router's fault was in reach of a detector's exchange, and what the router changed.

The rule: the packets that entered each gateway are sent, at the same times, through a fresh gateway without
an ALG, with the same NAT settings and the same seed. If both emit the same packets on the same sides, the
exchange looks the same as with a clean router. No detector can see a difference then: the fault was *out of
reach*. Any other byte, one packet more or one packet less puts it in reach.

- The IP identification and the header checksum that depends on it do not count: routers choose them freely.
- Notes do not count. Nor does a packet that both drop for different reasons: nobody can see that.
- What the router itself answers, and the public port that it chose, do count: both are visible outside.
- A timer that the model sets counts only if it ran out before a packet of this exchange.
- The NAT has a random generator of its own, so a model that draws random numbers does not move its ports. But
  if ports are allocated at random, a model that reserves ports does move others, and these count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from siplab.alg_models.controls import NONE
from siplab.experiments.trial.counterfactual.packets import through
from siplab.lab.gateway.alg import Card, Model, Recipe
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
    ``translation_only``: the same ALG without its fault would have emitted the same. So nothing of the fault
    showed.
    """

    touched: bool
    changed: tuple[str, ...] = ()
    translation_only: bool = False


def measure(trace: Trace, network: Network, seed: object, models: Mapping[str, Model] | None = None) -> Reach:
    """Replay a trial's packets. ``seed``: the one that the trial's world was made with.

    ``models``: the gateways' models, by the gateways' names. Without them ``translation_only`` is false.
    """
    touched = False
    faultless = _without_faults(models or {})
    compared: list[Model | Mapping[str, Model]] = [NONE] if faultless is None else [NONE, faultless]
    fault_showed = faultless is None
    changed: dict[str, None] = {}
    for _, passage, (expected, *translated) in through(trace, network, compared, seed):
        fault_showed = fault_showed or any(
            each != passage.emissions and _seen(each) != _seen(passage.emissions) for each in translated
        )
        if expected == passage.emissions or _seen(expected) == _seen(passage.emissions):
            continue
        touched = True
        for before, after in _rewritten(passage.packet, expected, passage.emissions):
            changed |= dict.fromkeys(differences(before, after))
    return Reach(touched, tuple(changed), touched and not fault_showed)


def _without_faults(models: Mapping[str, Model]) -> dict[str, Model] | None:
    """The same ALGs without their faults; ``None`` if no gateway has a fault on a correct ALG."""
    faultless = {
        name: Model("faultless", Card("The translation alone."), Recipe(base=model.recipe.base))
        for name, model in models.items()
        if model.recipe.base and model.recipe != Recipe(base=model.recipe.base)
    }
    return {**models, **faultless} if faultless else None


def _seen(emissions: list[Emission]) -> list[tuple[Side, bytes]]:
    """What leaves the router, in order, without the fields that routers choose freely."""
    return [(each.side, _settled(each.packet)) for each in emissions if each.side is not None]


def _settled(packet: bytes) -> bytes:
    if packet[:1] and packet[0] >> 4 == 4:
        return packet[:4] + packet[6:10] + packet[12:]
    return packet


def _rewritten(
    packet: bytes, expected: list[Emission], emissions: list[Emission]
) -> Iterator[tuple[bytes, bytes]]:
    """The SIP of each packet that the ALG changed: as it would have left without the ALG, and as it left."""
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
