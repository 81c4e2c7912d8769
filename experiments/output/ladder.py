"""One trial as a ladder: who sent what to whom, what the router did to it, and what came of it.

The rules of this file:

- One row per message, from who sent it to who got it. On the way a router has a ``+`` where it passed
  the message on as it was (the packet's addresses aside), ``*`` and a number where its ALG changed the
  message, ``X`` where it dropped it. The words stand beside the arrows, so that none is cut.
- The numbers lead to the changes below the ladder: the lines that differ, before and after, and the
  rule that this breaks. The same change has the same number each time it happens.
- What is no signalling is counted (``RTP x5``) between one message and the next. Messages that repeat what
  was just said stand there once, with how often: ``REGISTER x11``.
- What came of it stands first.
- Colour adds nothing: where there is none, ``[-...-]`` and ``{+...+}`` mark what differs.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from rich.console import Console
from rich.text import Text

from siplab.experiments.output.changes import Change, Line, aligned
from siplab.experiments.output.console import PlainConsole, folded, print_exact
from siplab.experiments.output.journeys import Journey, journeys_of
from siplab.experiments.trial.result import TrialResult
from siplab.lab.wire.labels import show
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import RULES, check
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import Trace

_TIME_WIDTH: Final = 10
_WORDS_WIDTH: Final = 38  # at least, for the words beside the arrows
_LEAST_GAP, _MOST_GAP = 8, 14  # between two columns
_INDENT: Final = 4
_LONGEST_REPETITION: Final = 4  # rows that come again together
_LONG: Final = 400  # bytes of a run that are shown in full


def render(
    result: TrialResult, trace: Trace, network: Network, console: Console, *, brief: bool = False
) -> None:
    """Print the outcome of one trial, the ladder and the changes; ``brief``: the outcome alone."""
    outcome = list(_outcome(result, console.width, brief=brief))
    for line in outcome:
        print_exact(line, console)
    if brief:
        return
    if outcome:
        console.print()
    journeys = journeys_of(trace, network)
    changes = _numbered(journeys)
    width = console.width
    plain = console.color_system is None or console.no_color
    ladder = _Ladder(network, journeys, width).lines()
    for line in (*ladder, Text(), *_changes(changes, width, plain=plain)):
        # They are folded already; what is longer all the same must not be lost.
        print_exact(line, console)


def as_text(result: TrialResult, trace: Trace, network: Network, width: int = 100) -> str:
    """The same as plain text."""
    file = io.StringIO()
    console = PlainConsole(file=file, width=width, color_system=None, force_terminal=False)
    render(result, trace, network, console)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


# -- the ladder --------------------------------------------------------------------------------------


def _in_path_order(network: Network) -> list[str]:
    """Hosts and gateways from the inside outwards.

    The networks that the first host is in come first, the innermost leftmost; what is behind other
    gateways of the outside comes last, the innermost rightmost.
    """
    topology = network.topology
    area = {name: name for name in topology.networks}  # network -> the name of its area
    for router in topology.routers.values():
        for group in (router.inside, router.outside) if router.is_gateway else (router.all_interfaces,):
            joined = {area[name] for name in group}
            area = {name: min(joined) if old in joined else old for name, old in area.items()}
    beyond = {
        area[inside]: (name, area[next(iter(router.outside))])
        for name, router in reversed(topology.gateways.items())
        for inside in router.inside
    }

    def way_out(place: str) -> list[str]:
        gateways: list[str] = []
        while place in beyond and beyond[place][0] not in gateways:
            gateway, place = beyond[place]
            gateways.append(gateway)
        return gateways

    ways = {name: way_out(area[host.network]) for name, host in topology.hosts.items()}
    homes = list(dict.fromkeys(way[-1] for way in ways.values() if way))
    for name, router in topology.gateways.items():
        ways[name] = way_out(area[next(iter(router.inside))])

    def place(name: str) -> tuple[float, ...]:
        way = ways[name]
        if not way:
            return (1,)
        home = homes.index(way[-1]) if way[-1] in homes else len(homes)
        depth = len(way) - (0.5 if name in topology.gateways else 0.0)
        return (2, home, depth) if home else (0, -depth)

    return sorted(ways, key=place)


class _Ladder:
    """Draws journeys between columns."""

    def __init__(self, network: Network, journeys: list[Journey], width: int) -> None:
        self._journeys = journeys
        taking_part = {node for each in journeys for node in (*each.path, each.aim)} | network.gateways
        columns = [node for node in _in_path_order(network) if node in taking_part]
        count = max(len(columns), 1)
        self._gap = min(_MOST_GAP, max(_LEAST_GAP, (width - _TIME_WIDTH - _WORDS_WIDTH) // count))
        self._at = {node: self._gap // 2 + self._gap * number for number, node in enumerate(columns)}
        self._width = self._gap * count
        self._words_width = max(width - _TIME_WIDTH - self._width - 1, 20)
        self._told: list[str] = []  # the notes of the last row that had any

    def lines(self) -> Iterator[Text]:
        yield from self._head()
        rows: list[_Row] = []
        counted: dict[tuple[object, ...], list[Journey]] = {}
        for journey in self._journeys:
            key = (
                journey.label, tuple(journey.path), tuple(journey.notes), journey.fell_short,
                tuple(journey.numbers.values()),
            )  # fmt: skip
            if journey.is_signalling:
                rows += [_Row(each, group) for each, group in counted.items()]
                counted.clear()
                rows.append(_Row(key, [journey]))
            else:
                counted.setdefault(key, []).append(journey)
        rows += [_Row(each, group) for each, group in counted.items()]
        for row in _without_repetitions(rows):
            yield from self._drawn(row.journeys)

    def _drawn(self, group: list[Journey]) -> Iterator[Text]:
        first, count = group[0], sum(1 + each.more for each in group)
        words = f" x{count}" if count > 1 or not first.is_signalling else ""
        end = max(max(each.now, each.until) for each in group)
        if end > first.now:
            words += f" until {end:.3f}"
        if all(each.again for each in group[1:] or group):
            words += " (sent again)"
        yield from self._row(first, words)

    def _head(self) -> Iterator[Text]:
        """What the marks mean, and the names of the columns."""
        words = ["o sent", "> received"]
        if any(set(each.path[1:-1]) - set(each.changes) for each in self._journeys):
            words.append("+ passed on unchanged")
        if any(each.changes for each in self._journeys):
            words.append("* changed on the way, see below")
        if any(each.failed for each in self._journeys):
            words.append("X ended there")
        yield Text("   ".join(words), style="dim")
        yield Text()
        # Names that are wider than their columns stand on two lines, by turns.
        rows = 2 if any(len(node) >= self._gap for node in self._at) else 1
        for number in range(rows):
            cells = [" "] * self._width
            for node in list(self._at)[number::rows]:
                start = max(self._at[node] - len(node) // 2, 0)
                cells[start : start + len(node)] = node
            label = "seconds " if number == rows - 1 else ""
            yield Text(f"{label:>{_TIME_WIDTH}}{''.join(cells)}".rstrip(), style="bold")

    # -- one row -------------------------------------------------------------------------------------

    def _row(self, journey: Journey, more: str) -> Iterator[Text]:
        """The arrows of one journey, with its words beside them."""
        words = [(journey.label + more, "bold" if journey.is_signalling else "")]
        if journey.notes:
            notes = ["X as above"] if journey.failed and journey.notes == self._told else journey.notes
            words += [(note, "red") for note in notes]
            self._told = journey.notes
        texts = [
            (line, style)
            for text, style in words
            for line in textwrap.wrap(text, self._words_width, subsequent_indent="  ")
        ]
        drawings = self._drawings(journey)
        for number in range(max(len(texts), len(drawings))):
            time = f"{journey.now:.3f} " if number == 0 else ""
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

    def _drawings(self, journey: Journey) -> list[list[str]]:
        """One row of cells for each stretch of the path in one direction."""
        nodes = [node for node in journey.path if node in self._at]
        if not nodes:
            return [self._lifelines()]
        stretches: list[list[str]] = [nodes[:1]]
        for one, other in pairwise(nodes):
            last = stretches[-1]
            if len(last) > 1 and (self._at[last[0]] < self._at[one]) != (self._at[one] < self._at[other]):
                stretches.append([one])
            stretches[-1].append(other)
        return [
            self._stretch(journey, stretch, number == 0, number == len(stretches) - 1)
            for number, stretch in enumerate(stretches)
        ]

    def _stretch(self, journey: Journey, nodes: list[str], is_first: bool, is_last: bool) -> list[str]:
        cells = self._lifelines()
        begin, end = self._at[nodes[0]], self._at[nodes[-1]]
        rightwards = begin < end or (begin == end and not begin > self._gap)
        step = 1 if rightwards else -1
        falls_short = is_last and journey.fell_short
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
        for node, number in journey.numbers.items():
            if node in passed:
                mark = f"*{number}"
                cells[self._at[node] : self._at[node] + len(mark)] = mark
        if is_last and journey.failed:
            if stub != begin:
                cells[tip] = "-"
            cells[stub] = "X"
        return cells


class _Row(NamedTuple):
    """Packets that are drawn as one; those of one ``key`` look alike."""

    key: tuple[object, ...]
    journeys: list[Journey]


def _without_repetitions(rows: list[_Row]) -> list[_Row]:
    """Each run of rows that comes again at once, joined: a request, or a request and its answer."""
    found: list[_Row] = []
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
            _Row(run[n].key, [each for row in run[n::length] for each in row.journeys]) for n in range(length)
        ]
        at += len(run)
    return found


def _coloured(cells: str) -> Text:
    text = Text(cells, style="not dim")
    text.highlight_regex(r"\|", "dim")
    text.highlight_regex(r"\*\d+", "bold yellow")
    text.highlight_regex("X", "bold red")
    return text


# -- the changes ---------------------------------------------------------------------------------------


@dataclass
class _Numbered:
    """One change, and the messages to which it happened."""

    number: int
    gateway: str
    change: Change | None
    journeys: list[Journey]


def _numbered(journeys: list[Journey]) -> list[_Numbered]:
    """The different changes in order; each journey gets the numbers of its own."""
    known: dict[object, _Numbered] = {}
    for journey in journeys:
        for gateway, change in journey.changes.items():
            key = (gateway, _essence(change))
            entry = known.setdefault(key, _Numbered(len(known) + 1, gateway, change, []))
            entry.journeys.append(journey)
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


def _changes(changes: list[_Numbered], width: int, *, plain: bool) -> Iterator[Text]:
    if not changes:
        yield Text("No message was changed on the way.")
        yield Text()
        return
    yield Text("What was changed on the way", style="bold")
    for each in changes:
        yield Text()
        yield from _one_change(each, width, plain=plain)
    yield Text()


def _one_change(entry: _Numbered, width: int, *, plain: bool) -> Iterator[Text]:
    first = entry.journeys[0]
    head = (
        f"{first.label}, {first.path[0]} to {first.path[-1]}, changed by {entry.gateway} at {first.now:.3f}"
    )
    if len(entry.journeys) > 1:
        head += f"; likewise in {len(entry.journeys) - 1} more"
    lead = f"{f'*{entry.number}':<{_INDENT}}"
    for line in textwrap.wrap(head, max(width, 40), initial_indent=lead, subsequent_indent=" " * _INDENT):
        yield Text(line, style="bold")
    change = entry.change
    if change is None:
        yield Text(" " * _INDENT + "It was one of several pieces of a message: no comparison.")
        return
    yield from _folded(f"parts: {', '.join(change.parts)}", width, _INDENT)
    for pair in aligned(change.before, change.after):
        before = "before" if pair.after else "removed"
        after = "after" if pair.before else "added"
        for what, shown, style, marks in (
            (before, pair.before, "black on red", ("[-", "-]")),
            (after, pair.after, "black on green", ("{+", "+}")),
        ):
            if shown is not None:
                yield from _shown_line(what, _marked_text(shown, style, marks if plain else ("", "")), width)
    for each in change.broken:
        yield from _folded(f"breaks {each.reference}: {each.sentence}", width, _INDENT, "red")
        rule = RULES[each.rule]
        tolerated = "" if rule.severity != "warning" else " Receivers should put up with it."
        yield from _folded(f"({each.rule}: {rule.description}{tolerated})", width, _INDENT + 2, "dim")
    if not change.broken:
        further = " further" if check(SipMessage.parse(change.before)) else ""
        yield from _folded(f"breaks no{further} rule of syntax", width, _INDENT, "dim")


def _marked_text(line: Line, style: str, markers: tuple[str, str]) -> Text:
    """A line with its marks; its line ending only where that differs."""
    end = len(line.text.rstrip(b"\r\n"))
    text, at = Text(), 0
    for start, stop in [*line.marks, (len(line.text), len(line.text))]:
        text.append(_shortened(line.text[at : min(start, max(end, at))]))
        marked = line.text[start:stop]
        if len(line.marks) == 1 and stop - start == len(line.text) and end:
            marked = marked[:end]  # the whole line is new or gone: its ending goes without saying
        if marked:
            text.append(markers[0]).append(_shortened(marked), style=style).append(markers[1])
        at = stop
    return text


def _shortened(data: bytes) -> str:
    if len(data) <= _LONG:
        return show(data)
    half = _LONG // 2
    return f"{show(data[:half])} ...({len(data) - 2 * half} bytes more)... {show(data[-half:])}"


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


def _outcome(result: TrialResult, width: int, *, brief: bool) -> Iterator[Text]:
    # The symptom stands beside the check already.
    symptoms = {each.name: each.symptom for each in result.checks}
    why = {each.check: each.text.removesuffix(symptoms[each.check]).strip() for each in result.explanation}
    if result.errors:
        yield Text("The trial is invalid", style="bold red")
        for error in result.errors:
            yield from _folded(error, width, _INDENT, "red")
    if result.checks:
        failed = sum(not each.passed for each in result.checks)
        head = f"Fails: {failed} of {len(result.checks)} checks" if failed else "Works"
        style = "bold red" if failed else "bold green"
        yield Text("Checks", style="bold") if result.errors else Text(head, style)
    for each in result.checks:
        detail = f" ({each.detail})" if each.detail else ""
        if not each.passed:
            yield from _folded(f"FAIL  {each.name}: {each.symptom}{detail}", width, _INDENT, "red")
            if each.name in why:
                yield from _folded(f"why:  {why[each.name]}", width, _INDENT + 6)
        elif not brief:
            yield from _folded(f"pass  {each.name}{detail}", width, _INDENT, "green")
    finding = result.finding
    if finding is not None:
        yield Text(f"What the detector {result.spec.detector} found", style="bold")
        saw = f": {', '.join(finding.changed)} changed" if finding.changed else ""
        detail = f" ({finding.detail})" if finding.detail else ""
        yield from _folded(f"{finding.verdict}{saw}{detail}", width, _INDENT)
