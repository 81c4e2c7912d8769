"""Prints one trial as a ladder on a terminal, from the data of ``view``.

The rules of this file:

- One row per message, from sender to receiver. On its way a router has a ``+`` if it passed the message on
  unchanged (apart from the packet's addresses), ``*`` and a number if its ALG changed the message, ``X`` if
  it dropped it. The words are beside the arrows, so that none is cut.
- The numbers refer to the changes below the ladder: the lines that differ, before and after, and the broken
  rule. The same change always has the same number.
- Packets other than signalling are counted (``RTP x5``) between two messages. Messages that repeat the
  previous ones are shown once, with a count: ``REGISTER x11``.
- The outcome comes first.
- Colour adds nothing: without it, ``[-...-]`` and ``{+...+}`` mark what differs.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from rich.console import Console
from rich.text import Text

from siplab.experiments.output.console import PlainConsole, folded, print_exact
from siplab.experiments.output.view import Change, Line, Message, TrialView
from siplab.experiments.output.viewing import view
from siplab.experiments.trial.result import TrialResult
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace

_TIME_WIDTH: Final = 10
_WORDS_WIDTH: Final = 38  # at least, for the words beside the arrows
_LEAST_GAP, _MOST_GAP = 8, 14  # between two columns
_INDENT: Final = 4
_LONG: Final = 400  # characters of a run of equal bytes that are shown in full


def render(
    result: TrialResult, trace: Trace, network: Network, console: Console, *, brief: bool = False
) -> None:
    """Print the outcome of one trial, the ladder and the changes; ``brief``: only the outcome."""
    shown = view(result, trace, network)
    outcome = list(_outcome(shown, console.width, brief=brief))
    for line in outcome:
        print_exact(line, console)
    if brief:
        return
    if outcome:
        console.print()
    plain = console.color_system is None or console.no_color
    ladder = _Ladder(shown, console.width).lines()
    for line in (*ladder, Text(), *_changes(shown, console.width, plain=plain)):
        # The lines are folded already. If one is still too long, it must not be cut.
        print_exact(line, console)


def as_text(result: TrialResult, trace: Trace, network: Network, width: int = 100) -> str:
    """The same as plain text."""
    file = io.StringIO()
    console = PlainConsole(file=file, width=width, color_system=None, force_terminal=False)
    render(result, trace, network, console)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


# -- the ladder --------------------------------------------------------------------------------------


class _Ladder:
    """Draws messages between columns."""

    def __init__(self, shown: TrialView, width: int) -> None:
        self._shown = shown
        columns = [node.name for node in shown.nodes]
        count = max(len(columns), 1)
        self._gap = min(_MOST_GAP, max(_LEAST_GAP, (width - _TIME_WIDTH - _WORDS_WIDTH) // count))
        self._at = {node: self._gap // 2 + self._gap * number for number, node in enumerate(columns)}
        self._width = self._gap * count
        self._words_width = max(width - _TIME_WIDTH - self._width - 1, 20)
        self._told: tuple[str, ...] = ()  # the notes of the last row that had notes

    def lines(self) -> Iterator[Text]:
        yield from self._head()
        for row in self._shown.rows:
            words = f" x{row.times}" if row.times > 1 or row.counted else ""
            if row.until is not None:
                words += f" until {row.until:.3f}"
            if row.repeated:
                words += " (sent again)"
            yield from self._row(self._shown.message(row.messages[0]), words)

    def _head(self) -> Iterator[Text]:
        """The meaning of the marks, and the names of the columns."""
        words = ["o sent", "> received"]
        messages = self._shown.messages
        if any(set(each.path[1:-1]) - {one.gateway for one in each.altered} for each in messages):
            words.append("+ passed on unchanged")
        if any(each.altered for each in messages):
            words.append("* changed on the way, see below")
        if any(each.failed for each in messages):
            words.append("X ended there")
        yield Text("   ".join(words), style="dim")
        yield Text()
        # Names that are wider than their columns alternate between two lines.
        rows = 2 if any(len(node) >= self._gap for node in self._at) else 1
        for number in range(rows):
            cells = [" "] * self._width
            for node in list(self._at)[number::rows]:
                start = max(self._at[node] - len(node) // 2, 0)
                cells[start : start + len(node)] = node
            label = "seconds " if number == rows - 1 else ""
            yield Text(f"{label:>{_TIME_WIDTH}}{''.join(cells)}".rstrip(), style="bold")

    # -- one row -------------------------------------------------------------------------------------

    def _row(self, message: Message, more: str) -> Iterator[Text]:
        """The arrows of one message, with its words beside them."""
        words = [(message.label + more, "bold" if message.signalling else "")]
        if message.notes:
            notes = ("X as above",) if message.failed and message.notes == self._told else message.notes
            words += [(note, "red") for note in notes]
            self._told = message.notes
        texts = [
            (line, style)
            for text, style in words
            for line in textwrap.wrap(text, self._words_width, subsequent_indent="  ")
        ]
        drawings = self._drawings(message)
        for number in range(max(len(texts), len(drawings))):
            time = f"{message.time:.3f} " if number == 0 else ""
            line = Text(f"{time:>{_TIME_WIDTH}}", style="dim")
            cells = drawings[number] if number < len(drawings) else self._lifelines()
            line.append_text(_coloured("".join(cells)))
            text, style = texts[number] if number < len(texts) else ("", "")
            line.append(f" {text}", style=f"not dim {style}")
            yield line

    def _lifelines(self) -> list[str]:
        cells = [" "] * self._width
        for at in self._at.values():
            cells[at] = "|"
        return cells

    def _drawings(self, message: Message) -> list[list[str]]:
        """One row of cells for each part of the path that goes in one direction."""
        nodes = [node for node in message.path if node in self._at]
        if not nodes:
            return [self._lifelines()]
        stretches: list[list[str]] = [nodes[:1]]
        for one, other in pairwise(nodes):
            last = stretches[-1]
            if len(last) > 1 and (self._at[last[0]] < self._at[one]) != (self._at[one] < self._at[other]):
                stretches.append([one])
            stretches[-1].append(other)
        return [
            self._stretch(message, stretch, number == 0, number == len(stretches) - 1)
            for number, stretch in enumerate(stretches)
        ]

    def _stretch(self, message: Message, nodes: list[str], is_first: bool, is_last: bool) -> list[str]:
        cells = self._lifelines()
        begin, end = self._at[nodes[0]], self._at[nodes[-1]]
        rightwards = begin < end or (begin == end and not begin > self._gap)
        step = 1 if rightwards else -1
        falls_short = is_last and message.fell_short
        stub = end + step * (self._gap // 2 - 1) if falls_short else end
        if stub != begin:
            for at in range(begin, stub, step):
                cells[at] = "-"
            tip = stub if falls_short else stub - step
            cells[tip] = ">" if rightwards else "<"
        passed = nodes[1:] if falls_short else nodes[1:-1]
        for node in [] if is_first else nodes[:1]:
            cells[self._at[node]] = "-"
        for node in passed:
            cells[self._at[node]] = "+"
        if is_first:
            cells[begin] = "o"
        for each in message.altered:
            if each.gateway in passed:
                at, mark = self._at[each.gateway], f"*{each.change}"
                cells[at : at + len(mark)] = mark
        if is_last and message.failed:
            if stub != begin:
                cells[tip] = "-"
            cells[stub] = "X"
        return cells


def _coloured(cells: str) -> Text:
    text = Text(cells, style="not dim")
    text.highlight_regex(r"\|", "dim")
    text.highlight_regex(r"\*\d+", "bold yellow")
    text.highlight_regex("X", "bold red")
    return text


# -- the changes ---------------------------------------------------------------------------------------


def _changes(shown: TrialView, width: int, *, plain: bool) -> Iterator[Text]:
    if not shown.changes:
        yield Text("No message was changed on the way.")
        yield Text()
        return
    yield Text("What was changed on the way", style="bold")
    for each in shown.changes:
        yield Text()
        yield from _one_change(each, shown.message(each.messages[0]), width, plain=plain)
    yield Text()


def _one_change(change: Change, first: Message, width: int, *, plain: bool) -> Iterator[Text]:
    head = (
        f"{first.label}, {first.path[0]} to {first.path[-1]}, changed by {change.gateway} at {first.time:.3f}"
    )
    if len(change.messages) > 1:
        head += f"; likewise in {len(change.messages) - 1} more"
    lead = f"{f'*{change.number}':<{_INDENT}}"
    for line in textwrap.wrap(head, max(width, 40), initial_indent=lead, subsequent_indent=" " * _INDENT):
        yield Text(line, style="bold")
    lines = next(each.lines for each in first.altered if each.change == change.number)
    if not lines:
        yield Text(" " * _INDENT + "It was one of several pieces of a message: no comparison.")
        return
    yield from _folded(f"parts: {', '.join(change.parts)}", width, _INDENT)
    for pair in lines:
        before = "before" if pair.after else "removed"
        after = "after" if pair.before else "added"
        for what, shown, style, marks in (
            (before, pair.before, "black on red", ("[-", "-]")),
            (after, pair.after, "black on green", ("{+", "+}")),
        ):
            if shown is not None:
                yield from _shown_line(what, _marked_text(shown, style, marks if plain else ("", "")), width)
    for rule in change.broken:
        yield from _folded(f"breaks {rule.reference}: {rule.sentence}", width, _INDENT, "red")
        tolerated = " Receivers should put up with it." if rule.tolerated else ""
        yield from _folded(f"({rule.rule}: {rule.about}{tolerated})", width, _INDENT + 2, "dim")
    if not change.broken:
        further = " further" if change.broken_before else ""
        yield from _folded(f"breaks no{further} rule of syntax", width, _INDENT, "dim")


def _marked_text(line: Line, style: str, markers: tuple[str, str]) -> Text:
    text, at = Text(), 0
    for start, stop in line.marks:
        text.append(_shortened(line.text[at:start]))
        text.append(markers[0]).append(_shortened(line.text[start:stop]), style=style).append(markers[1])
        at = stop
    return text.append(_shortened(line.text[at:]))


def _shortened(text: str) -> str:
    if len(text) <= _LONG:
        return text
    half = _LONG // 2
    return f"{text[:half]} ...({len(text) - 2 * half} more)... {text[-half:]}"


def _shown_line(what: str, text: Text, width: int) -> Iterator[Text]:
    indent = _INDENT + 8
    room = max(width - indent - 2, 20)
    for number, piece in enumerate(text.divide(range(room, len(text), room))):
        lead = f"{what:<8}" if number == 0 else " " * 10
        yield Text(" " * _INDENT + lead).append_text(piece)


def _folded(text: str, width: int, indent: int, style: str = "") -> Iterator[Text]:
    lead = " " * indent
    for line in folded(text, width, lead, lead + "  "):
        yield Text(line, style=style)


# -- the outcome -----------------------------------------------------------------------------------------


def _outcome(shown: TrialView, width: int, *, brief: bool) -> Iterator[Text]:
    if shown.errors:
        yield Text("The trial is invalid", style="bold red")
        for error in shown.errors:
            yield from _folded(error, width, _INDENT, "red")
    if shown.checks:
        failed = sum(not each.passed for each in shown.checks)
        head = f"Fails: {failed} of {len(shown.checks)} checks" if failed else "Works"
        style = "bold red" if failed else "bold green"
        yield Text("Checks", style="bold") if shown.errors else Text(head, style)
    for each in shown.checks:
        detail = f" ({each.detail})" if each.detail else ""
        if not each.passed:
            yield from _folded(f"FAIL  {each.name}: {each.symptom}{detail}", width, _INDENT, "red")
            if each.cause is not None:
                yield from _folded(f"why:  {each.cause.text}", width, _INDENT + 6)
        elif not brief:
            yield from _folded(f"pass  {each.name}{detail}", width, _INDENT, "green")
    finding = shown.finding
    if finding is not None:
        yield Text(f"What the detector {shown.settings['detector']} found", style="bold")
        saw = f": {', '.join(finding.changed)} changed" if finding.changed else ""
        detail = f" ({finding.detail})" if finding.detail else ""
        yield from _folded(f"{finding.verdict}{saw}{detail}", width, _INDENT)
