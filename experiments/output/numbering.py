"""Numbers of messages and changes: the same in ladders, pages and captures.

A message has the number of its journey, from 1. What is done to messages in the same way is one change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from siplab.experiments.output.changes import Change, aligned
from siplab.experiments.output.journeys import Journey


@dataclass
class NumberedChange:
    """One change, and the messages to which it happened, by their numbers."""

    number: int
    gateway: str
    change: Change | None
    messages: list[int] = field(default_factory=list)


def numbered_changes(journeys: Sequence[Journey]) -> list[NumberedChange]:
    """The different changes in order; each journey gets the numbers of its own."""
    known: dict[object, NumberedChange] = {}
    for message, journey in enumerate(journeys, 1):
        for gateway, change in journey.changes.items():
            key = (gateway, _essence(change))
            entry = known.setdefault(key, NumberedChange(len(known) + 1, gateway, change))
            entry.messages.append(message)
            journey.numbers[gateway] = entry.number
    return list(known.values())


def _essence(change: Change | None) -> object:
    """What two changes have in common that a reader takes for the same: parts, marked bytes, rules."""
    if change is None:
        return None
    marks = tuple(
        tuple(line.text[start:end] for start, end in line.marks) if line else None
        for pair in aligned(change.before, change.after)
        for line in pair
    )
    return tuple(change.parts), marks, tuple((each.rule, each.header) for each in change.broken)
