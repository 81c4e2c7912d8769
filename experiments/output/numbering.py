"""Numbers messages and changes; ladders, pages and captures use the same numbers.

A message has the number of its journey, from 1. If the same is done to several messages, that is one change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from siplab.experiments.output.changes import Change, aligned
from siplab.experiments.output.journeys import Journey


@dataclass
class NumberedChange:
    """One change, and the numbers of the messages to which it happened."""

    number: int
    gateway: str
    change: Change | None
    messages: list[int] = field(default_factory=list)


def numbered_changes(journeys: Sequence[Journey]) -> list[NumberedChange]:
    """The different changes, in order. Each journey gets the numbers of its own changes."""
    known: dict[object, NumberedChange] = {}
    for message, journey in enumerate(journeys, 1):
        for gateway, change in journey.changes.items():
            key = (gateway, _essence(change))
            entry = known.setdefault(key, NumberedChange(len(known) + 1, gateway, change))
            entry.messages.append(message)
            journey.numbers[gateway] = entry.number
    return list(known.values())


def _essence(change: Change | None) -> object:
    """What makes two changes the same for a reader: parts, marked bytes, rules."""
    if change is None:
        return None
    marks = tuple(
        tuple(line.text[start:end] for start, end in line.marks) if line else None
        for pair in aligned(change.before, change.after)
        for line in pair
    )
    return tuple(change.parts), marks, tuple((each.rule, each.header) for each in change.broken)
