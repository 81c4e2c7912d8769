"""What was sent beside what arrived: each comparison looks at one thing, and gives the names of what changed
and its evidence.

No detector by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final

from siplab.experiments.detectors.probe_runs import name_of
from siplab.lab.probing.observation import Transit
from siplab.lab.probing.probe_plan import Observations

Evidence = tuple[list[str], str]
"""Names of what changed, and one sentence."""

Comparison = Callable[[Observations], list[Evidence]]
"""Looks for one thing in all that was observed."""

# A NAT may give a flow another port when its binding has ended, but no binding ends this soon.
_SAME_FLOW: Final = 2.0  # seconds


def changed(seen: Observations) -> list[Evidence]:
    """Messages that did not arrive as they were sent."""
    return [
        (names, f"{name_of(transit)} arrived with other bytes: {', '.join(names)}")
        for transit, names in seen.changed
    ]


def answers_changed(seen: Observations) -> list[Evidence]:
    """The same, of what the client received only."""
    return changed_if(seen, lambda transit: not transit.outbound)


def changed_if(seen: Observations, wanted: Callable[[Transit], bool]) -> list[Evidence]:
    return [
        (names, f"{name_of(transit)} arrived with other bytes: {', '.join(names)}")
        for transit, names in seen.changed
        if wanted(transit)
    ]


def kept_back(seen: Observations) -> list[Evidence]:
    """Messages that never arrive on the port of SIP, though their twins do on another."""
    return [
        (["dropped"], f"{name_of(each)} never arrives, though it does on port {seen.site.other}")
        for each in seen.missing
        if seen.is_gone(each)
    ]


def forged(seen: Observations) -> list[Evidence]:
    """Answers and requests that nobody sent."""
    return [
        (["forged"], f"{name_of(each)} came that the other side never sent")
        for each in seen.strange
        if seen.owner(each) and each.marks
    ]


def mapping_unstable(seen: Observations) -> list[Evidence]:
    """One flow that comes from several public endpoints within a moment."""
    found: list[Evidence] = []
    for (port, _), datagrams in seen.mappings.items():
        rows = sorted(datagrams, key=lambda each: each.first)
        for earlier, later in pairwise(rows):
            if earlier.near != later.near and later.first - earlier.last < _SAME_FLOW:
                text = f"port {port} of the phone is {earlier.near} and a moment later {later.near}"
                found.append((["source port"], text))
                break
    return found


def misdelivered(seen: Observations) -> list[Evidence]:
    """What arrives at another port of the phone than the one that it answers."""
    found: list[Evidence] = []
    for each in seen.transits:
        if each.outbound or each.sent is None or each.arrived is None:
            continue
        owner = seen.owner(each)
        wanted = (seen.probes[owner].source or seen.local.port) if owner else seen.local.port
        if each.arrived.near.port != wanted:
            found.append((["destination port"], f"{name_of(each)} came to port {each.arrived.near.port}"))
    return found


EVERY: Final[tuple[Comparison, ...]] = (changed, forged, misdelivered, mapping_unstable, kept_back)


def gather(seen: Observations, *wanted: Comparison) -> tuple[list[str], list[str]]:
    """What these comparisons find: the names of what changed, and the evidence."""
    found = [row for each in wanted for row in each(seen)] if seen.complete else []
    return [name for names, _ in found for name in names], [text for _, text in found]
