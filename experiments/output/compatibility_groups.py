"""A table of routers by scenarios, summed up: by class of fault, by vendor, by evidence.

A group's rate is the share of its routers' trials that work. Trials that were not run (unknown, impossible)
or are invalid do not count. Wilson's interval assumes independent trials. Trials of one router with several
seeds are hardly independent if its outcome hardly depends on the seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from siplab.experiments.output.compatibility import Compatibility, Subject
from siplab.experiments.trial.rates import Rate

By = Literal["class", "vendor", "evidence"]
_NONE: Final[dict[By, str]] = {"class": "no fault", "vendor": "no vendor", "evidence": "none"}


@dataclass(frozen=True)
class GroupCell:
    """The outcome of a group of routers in one scenario; ``routers``: how many of them were run."""

    group: str
    scenario: str
    remedy: str
    setting: tuple[str, str, str]  # topology, phone, server
    routers: int
    rate: Rate


def group_of(subject: Subject, by: By) -> str:
    """The group of a router."""
    value = {"class": subject.fault_class, "vendor": subject.vendor, "evidence": subject.evidence}[by]
    return value or _NONE[by]


def groups(table: Compatibility, by: By) -> list[str]:
    """The groups, in the order of their first routers."""
    return list(dict.fromkeys(group_of(each, by) for each in table.subjects))


def grouped(table: Compatibility, by: By) -> list[GroupCell]:
    """The cells of all groups, by setting, remedy, group and scenario."""
    names = {each.id: group_of(each, by) for each in table.subjects}
    counts: dict[tuple[object, ...], list[Rate]] = {}
    for each in table.cells:
        key = each.key
        place = (names[key.subject], key.scenario, key.remedy, (key.topology, key.phone, key.server))
        counts.setdefault(place, []).append(each.rate)
    return [
        GroupCell(group, scenario, remedy, setting, sum(each.of > 0 for each in rates), _sum(rates))
        for setting in table.settings
        for remedy in table.remedies
        for group in groups(table, by)
        for scenario in table.scenarios
        for rates in [counts.get((group, scenario, remedy, setting), [])]
    ]


def _sum(rates: Sequence[Rate]) -> Rate:
    return Rate(sum(each.count for each in rates), sum(each.of for each in rates))
