"""Decides which packets of a trial are shown as one row.

The rules of this file:

- Packets other than signalling are counted between one message and the next.
- Messages that repeat the previous ones are one row; so are a request and its answer that alternate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from siplab.experiments.output.view import Message, Row

_LONGEST_REPETITION: Final = 4  # rows that are repeated as a group, at most


class _Alike(NamedTuple):
    """Packets that look alike: they have the same ``key``."""

    key: tuple[object, ...]
    messages: list[Message]


def rows_of(messages: Sequence[Message]) -> tuple[Row, ...]:
    """The rows, in order."""
    rows: list[_Alike] = []
    counted: dict[tuple[object, ...], list[Message]] = {}
    for each in messages:
        changes = tuple(altered.change for altered in each.altered)
        key = (each.label, each.path, each.notes, each.fell_short, changes)
        if each.signalling:
            rows += [_Alike(*group) for group in counted.items()]
            counted.clear()
            rows.append(_Alike(key, [each]))
        else:
            counted.setdefault(key, []).append(each)
    rows += [_Alike(*group) for group in counted.items()]
    return tuple(_row(each.messages) for each in _without_repetitions(rows))


def _row(group: list[Message]) -> Row:
    first, count = group[0], sum(each.packets for each in group)
    end = max(max(each.time, each.until) for each in group)
    return Row(
        tuple(each.number for each in group),
        count,
        end if end > first.time else None,
        all(each.repeated for each in group[1:] or group),
        not first.signalling,
    )


def _without_repetitions(rows: list[_Alike]) -> list[_Alike]:
    """The rows, with each immediate repetition joined: of a request, or of a request and its answer."""
    found: list[_Alike] = []
    at = 0
    while at < len(rows):
        for length in range(1, _LONGEST_REPETITION + 1):
            keys = [row.key for row in rows[at : at + length]]
            times = 1
            while [row.key for row in rows[at + times * length : at + (times + 1) * length]] == keys:
                times += 1
            if times > 1:
                break
        else:
            length = 1
        run = rows[at : at + times * length]
        found += [
            _Alike(run[n].key, [each for row in run[n::length] for each in row.messages])
            for n in range(length)
        ]
        at += len(run)
    return found
