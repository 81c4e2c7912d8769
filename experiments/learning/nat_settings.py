"""Which NAT the observed router is, by addresses and ports alone: what it says in messages is no matter."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import Final

from siplab.experiments.learning.candidates import Arrivals, Observed, played
from siplab.experiments.trial.run import models
from siplab.lab.gateway.nat_config import Dependence, NatConfig

# The commonest come first: of settings that agree with what was seen, the first is taken.
_MAPPINGS: Final = (
    Dependence.ENDPOINT_INDEPENDENT,
    Dependence.ADDRESS_AND_PORT_DEPENDENT,
    Dependence.ADDRESS_DEPENDENT,
)
_FILTERINGS: Final = (
    Dependence.ADDRESS_AND_PORT_DEPENDENT,
    Dependence.ADDRESS_DEPENDENT,
    Dependence.ENDPOINT_INDEPENDENT,
)
_TIMEOUTS: Final = (300.0, 180.0, 120.0, 60.0, 30.0)
_IDLE: Final = 20.0  # seconds of silence from which timers can show


def with_nat(observed: Observed) -> Observed:
    """The same router with the NAT settings that fit best, whatever its ALG may be."""
    gap = _longest_silence(observed)
    timeouts = [each for each in _TIMEOUTS if each <= gap] if gap > _IDLE else []
    best, least = observed.nat, float("inf")
    # What a binding is good for shows in most packets, how long it lasts in a few.
    ways = [{"mapping": one, "filtering": other} for one, other in product(_MAPPINGS, _FILTERINGS)]
    for settings in (ways, [{"udp_timeout": each} for each in timeouts]):
        for each in settings:
            if not least:
                break
            nat = replace(best, **each)
            wrong = _wrong(observed, nat, least)
            if wrong < least:
                best, least = nat, wrong
    return replace(observed, nat=best)


def _longest_silence(observed: Observed) -> float:
    times = [[each.at for each in pair.crossings] for pair in observed.pairs]
    return max((b - a for row in times for a, b in pairwise(row)), default=0.0)


def _wrong(observed: Observed, nat: NatConfig, limit: float) -> int:
    """How many packets leave otherwise, without an ALG or with a correct one."""
    tried = replace(observed, nat=nat)
    counts = []
    for name in ("none", "correct"):
        wrong = 0
        for pair in observed.pairs:
            for each in played(tried, models().get(name), pair):
                wrong += _ends(each.made) != _ends(each.seen)
                if wrong >= limit:
                    break
        counts.append(wrong)
    return min(counts)


def _ends(left: Arrivals) -> list[tuple[object, ...]]:
    return [(each.side, each.source, each.destination) for each in left]
