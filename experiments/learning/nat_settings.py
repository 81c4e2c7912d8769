"""Finds the NAT settings of the observed router from addresses and ports alone, not from messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise, product
from typing import Final

from siplab.experiments.learning.candidates import Arrivals, Observed, played
from siplab.experiments.learning.scoring import Conversation, telling
from siplab.experiments.trial.run import models
from siplab.lab.gateway.nat_config import Dependence, NatConfig

# The most common setting comes first. Of several that agree with what was seen, the first is taken.
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
_WORTH: Final = 0.5  # an unusual setting is likelier if it leaves at most this share of the differing packets
_MANY: Final = 4  # and explains at least so many packets; fewer may be due to a fault of the ALG
_IDLE: Final = 20.0  # seconds; timers are tried only if the router was silent for longer


def with_nat(observed: Observed) -> Observed:
    """The same router with the likeliest NAT settings, whatever its ALG may be."""
    return likely(observed)[0]


def likely(observed: Observed) -> tuple[Observed, ...]:
    """The same router with each of the NAT settings that it may have, the likeliest first.

    An unknown ALG that opens or closes pinholes can look like an unusual NAT. So unusual settings count as
    likelier only if they leave at most half of the differing packets, and explain more than a few.
    """
    usual = sum(_wrong(observed, observed.nat).values())
    best, least = _best(observed) if usual else (observed.nat, 0)
    ways = [replace(observed, nat=best)]
    if best != observed.nat:
        is_likelier = least <= usual * _WORTH and usual - least >= _MANY
        ways.insert(1 if is_likelier else 0, observed)
    return tuple(ways)


def _best(observed: Observed) -> tuple[NatConfig, float]:
    """The settings with which the fewest packets leave otherwise than observed, and how many these are."""
    gap = _longest_silence(observed)
    timeouts = [each for each in _TIMEOUTS if each <= gap] if gap > _IDLE else []
    best, least = observed.nat, float("inf")
    part, on_part = observed, 0
    # Mapping and filtering show in most packets, a binding's lifetime only in a few.
    ways = [{"mapping": one, "filtering": other} for one, other in product(_MAPPINGS, _FILTERINGS)]
    for settings in (ways, [{"udp_timeout": each} for each in timeouts]):
        for each in settings:
            if not least:
                break
            nat = replace(best, **each)
            # A setting is tried on everything only if it is better on a part of what the best one gets wrong.
            if least < float("inf") and sum(_wrong(part, nat).values()) >= on_part:
                continue
            wrong = _wrong(observed, nat)
            if sum(wrong.values()) < least:
                best, least = nat, sum(wrong.values())
                part = telling(observed, wrong)
                on_part = sum(_wrong(part, nat).values())
    return best, least


def _longest_silence(observed: Observed) -> float:
    times = [[each.at for each in pair.crossings] for pair in observed.pairs]
    return max((b - a for row in times for a, b in pairwise(row)), default=0.0)


def _wrong(observed: Observed, nat: NatConfig) -> Counter[Conversation]:
    """How many packets of each conversation leave otherwise, without an ALG or with a correct one.

    Of the two, the one with fewer such packets counts.
    """
    tried = replace(observed, nat=nat)
    counts = []
    for name in ("none", "correct"):
        wrong = Counter[Conversation]()
        for number, pair in enumerate(observed.pairs):
            for each in played(tried, models().get(name), pair):
                if _ends(each.made) != _ends(each.seen):
                    wrong[number, each.entered.conversation] += 1
        counts.append(wrong)
    return min(counts, key=lambda each: sum(each.values()))


def _ends(left: Arrivals) -> list[tuple[object, ...]]:
    return [(each.side, each.source, each.destination) for each in left]
