"""What a router did to a message: which parts and bytes it changed, and which rules that broke.

The rules of this file:

- ``marked`` and ``aligned`` are exact: without the marked bytes both versions are the same text.
- Marks are for readers. A number, an address or a word is marked as a whole, not only the digits that differ.
- A rule counts as broken by the router only if the message did not break it before, in the same part.
- Any bytes may come in, and none may take long to compare. What is too long is marked as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final, NamedTuple

from siplab.experiments.trial.entries import is_one_message
from siplab.lab.gateway.sides import Emission
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.ip import MalformedPacketError
from siplab.lab.wire.sip import SipMessage, canonical_name
from siplab.lab.wire.syntax import Violation, check

_LINE: Final = re.compile(rb"[^\n]*\n|[^\n]+\Z")
# Dotted numbers (addresses), words, blanks, other scripts; everything else byte by byte.
_TOKEN: Final = re.compile(rb"\d+(?:\.\d+)*|[A-Za-z]+|[ \t]+|[\x80-\xff]+|.", re.DOTALL)
# If a random word (a branch, a tag) was replaced, a few letters agree by chance. They are marked as well.
_CHANCE: Final = re.compile(rb"[A-Za-z0-9]{1,3}")
_ALPHANUMERIC: Final = re.compile(rb"[A-Za-z0-9]")
# Comparing takes up to as many steps as the product of both lengths.
_TOO_MUCH: Final = 4_000_000


class Span(NamedTuple):
    """Bytes ``start`` to ``end``, the end not included."""

    start: int
    end: int


class Line(NamedTuple):
    """One line of a message with its line ending; ``marks`` count from the start of the line."""

    start: int
    text: bytes
    marks: list[Span]


class LinePair(NamedTuple):
    """A line that differs, before and after; ``None`` if there is no such line."""

    before: Line | None
    after: Line | None


class Change(NamedTuple):
    """What an ALG did to one message."""

    before: bytes
    after: bytes
    parts: list[str]
    broken: list[Violation]


# -- marks -------------------------------------------------------------------------------------


def aligned(before: bytes, after: bytes) -> list[LinePair]:
    """The lines that differ, in the order of the message. Lines of the same name are paired."""
    old, new = _LINE.findall(before), _LINE.findall(after)
    old_starts, new_starts = _starts(old), _starts(new)
    pairs: list[LinePair] = []
    for i, j in _line_pairs(old, new):
        if i is None:
            pairs.append(LinePair(None, _whole(new_starts, new, j)))
        elif j is None:
            pairs.append(LinePair(_whole(old_starts, old, i), None))
        else:
            marks = _token_marks(old[i], new[j])
            pairs.append(
                LinePair(Line(old_starts[i], old[i], marks[0]), Line(new_starts[j], new[j], marks[1]))
            )
    return pairs


def marked(before: bytes, after: bytes) -> tuple[list[Span], list[Span]]:
    """The bytes that differ, in each version. Without them both versions are the same text."""
    spans: tuple[list[Span], list[Span]] = ([], [])
    for pair in aligned(before, after):
        for line, found in zip(pair, spans, strict=True):
            for mark in line.marks if line else []:
                _append(found, Span(line.start + mark.start, line.start + mark.end) if line else mark)
    return spans


def _append(spans: list[Span], span: Span) -> None:
    if spans and spans[-1].end == span.start:
        spans[-1] = Span(spans[-1].start, span.end)
    elif span.start < span.end:
        spans.append(span)


def _starts(lines: list[bytes]) -> list[int]:
    at, starts = 0, []
    for line in lines:
        starts.append(at)
        at += len(line)
    return starts


def _whole(starts: list[int], lines: list[bytes], at: int | None) -> Line | None:
    return None if at is None else Line(starts[at], lines[at], [Span(0, len(lines[at]))])


class _Replaced(NamedTuple):
    """Items ``a0`` to ``a1`` of one list were replaced by ``b0`` to ``b1`` of the other."""

    a0: int
    a1: int
    b0: int
    b1: int


def _replaced(a: Sequence[bytes], b: Sequence[bytes]) -> list[_Replaced]:
    """Where two lists differ. Everywhere else they agree, item by item."""
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    a_end, b_end = len(a) - tail, len(b) - tail
    if head == a_end and head == b_end:
        return []
    if (a_end - head) * (b_end - head) > _TOO_MUCH:
        return [_Replaced(head, a_end, head, b_end)]
    matcher = SequenceMatcher(None, a[head:a_end], b[head:b_end], autojunk=False)
    return [
        _Replaced(head + i0, head + i1, head + j0, head + j1)
        for tag, i0, i1, j0, j1 in matcher.get_opcodes()
        if tag != "equal"
    ]


def _line_pairs(old: list[bytes], new: list[bytes]) -> list[tuple[int | None, int | None]]:
    """The numbers of lines that belong together and differ, and of lines without a counterpart."""
    pairs: list[tuple[int | None, int | None]] = []
    for block in _replaced(old, new):
        names = [_name(line) for line in old[block.a0 : block.a1]]
        others = [_name(line) for line in new[block.b0 : block.b1]]
        i, j = block.a0, block.b0
        for part in [*_replaced(names, others), _Replaced(len(names), len(names), len(others), len(others))]:
            # Up to this part, the names agree.
            while i < block.a0 + part.a0:
                if old[i] != new[j]:
                    pairs.append((i, j))
                i, j = i + 1, j + 1
            removed = range(i, block.a0 + part.a1)
            added = range(j, block.b0 + part.b1)
            if len(removed) == len(added) and len(names) == len(others):
                pairs.extend(zip(removed, added, strict=True))
            else:
                pairs.extend((each, None) for each in removed)
                pairs.extend((None, each) for each in added)
            i, j = removed.stop, added.stop
    return pairs


def _name(line: bytes) -> bytes:
    """What identifies a line: a header's name, or the letter of an SDP line."""
    if line[1:2] == b"=":
        return line[:1]
    head, colon, _ = line.partition(b":")
    return canonical_name(head) if colon else b""


def _token_marks(old: bytes, new: bytes) -> tuple[list[Span], list[Span]]:
    a, b = _TOKEN.findall(old), _TOKEN.findall(new)
    blocks: list[_Replaced] = []
    for block in _replaced(a, b):
        if blocks and _by_chance(a, blocks[-1].a1, block.a0):
            last = blocks.pop()
            block = _Replaced(last.a0, block.a1, last.b0, block.b1)
        blocks.append(block)
    a_starts, b_starts = [*_starts(a), len(old)], [*_starts(b), len(new)]
    marks: tuple[list[Span], list[Span]] = ([], [])
    for each in blocks:
        _append(marks[0], Span(a_starts[each.a0], a_starts[each.a1]))
        _append(marks[1], Span(b_starts[each.b0], b_starts[each.b1]))
    return marks


def _by_chance(tokens: list[bytes], start: int, end: int) -> bool:
    """Whether the equal tokens between two changes are a piece of one changed word."""
    between = b"".join(tokens[start:end])
    return (
        _CHANCE.fullmatch(between) is not None
        and start > 0
        and end < len(tokens)
        and _ALPHANUMERIC.match(tokens[start - 1][-1:]) is not None
        and _ALPHANUMERIC.match(tokens[end]) is not None
    )


# -- rules ---------------------------------------------------------------------------------------


def broken(before: bytes, after: bytes, *, transport: str = "udp") -> list[Violation]:
    """The rules that ``after`` breaks and ``before`` did not, in the order of the message.

    Empty if ``before`` was no SIP message.
    """
    sound = SipMessage.parse(before)
    if before == after or not sound.is_sip:
        return []
    already = Counter((each.rule, each.header) for each in check(sound, transport=transport))
    found: list[Violation] = []
    for each in check(SipMessage.parse(after), transport=transport):
        if already[each.rule, each.header]:
            already[each.rule, each.header] -= 1
        else:
            found.append(each)
    return found


def change(before: bytes, after: bytes, *, transport: str = "udp") -> Change:
    """Everything about one changed message."""
    return Change(before, after, differences(before, after), broken(before, after, transport=transport))


# -- packets at a gateway ------------------------------------------------------------------------


def change_of(entered: ip.Packet | None, emission: Emission) -> Change | None:
    """What the ALG changed in a message, if it did and the messages can be compared.

    A TCP segment may hold a part of a message; that can't be compared.
    """
    if not emission.changed or emission.side is None or entered is None:
        return None
    try:
        left = ip.parse(emission.packet)
    except MalformedPacketError:
        return None
    if entered.protocol == ip.UDP:
        return change(entered.payload, left.payload)
    if is_one_message(entered.payload) and is_one_message(left.payload):
        return change(entered.payload, left.payload, transport="tcp")
    return None
