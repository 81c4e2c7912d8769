"""`siplab compare-captures`: what two captures, from either side of a router, say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from siplab.experiments import captures
from siplab.experiments.captures.comparison import Comparison, Verdict, compare
from siplab.experiments.captures.pairing import Pair
from siplab.experiments.commands.options import AsJson
from siplab.experiments.diagnosis.sentences import sentences
from siplab.experiments.output import console
from siplab.experiments.output.changes import Line, aligned, broken
from siplab.lab.counting import number_of
from siplab.lab.wire.labels import show

app = typer.Typer(add_completion=False)
STATUS = {Verdict.CLEAN: 0, Verdict.ALG: 1, Verdict.UNDECIDED: 3}


@app.command()
def compare_captures(
    inside: Annotated[Path, typer.Argument(metavar="IN", help="Captured behind the router: phone, LAN.")],
    outside: Annotated[Path, typer.Argument(metavar="OUT", help="Captured outside: WAN, or the server.")],
    messages: Annotated[
        int, typer.Option(min=0, help="Changed messages that are shown with their lines.", metavar="N")
    ] = 5,
    as_json: AsJson = False,
) -> None:
    """What captures from both sides of a router say.

    What changed on the way, which rules that breaks, what never left, and what is in one capture only. Needs
    `pip install 'siplab[captures]'`. Exit status: 0 clean, 1 the router changes or makes messages, 2 bad
    input, 3 undecided.
    """
    sides = [captures.read(each) for each in (inside, outside)]
    found = compare(*sides)
    left_out = [line for each in sides for line in each.lines()]
    if as_json:
        console.print_json(as_data(found, left_out))
    else:
        _print(found, left_out, messages)
    if found.verdict is not Verdict.CLEAN:
        raise typer.Exit(STATUS[found.verdict])


def as_data(found: Comparison, left_out: list[str]) -> dict[str, Any]:
    """The comparison as plain data."""
    return {
        "verdict": found.verdict.value,
        "sentences": sentences(found),
        "messages": len(found.pairing.pairs),
        "changed": [_pair_data(each) for each in found.pairing.changed],
        "made": [each.label for each in found.pairing.made],
        "missing": [{"message": each.label, "copies": len(each.times)} for each in found.pairing.missing],
        "strange": [{"message": each.label, "copies": len(each.times)} for each in found.pairing.strange],
        "mappings": [{"inside": str(each.inside), "outside": str(each.outside)} for each in found.mappings],
        "clock_offset": found.pairing.offset,
        "left_out": left_out,
    }


def _pair_data(each: Pair) -> dict[str, Any]:
    return {
        "message": each.sent.label,
        "direction": "out" if each.sent.outbound else "in",
        "parts": each.changed,
        "rules": [rule.reference for rule in broken(each.sent.payload, each.came.payload)],
        "before": each.sent.payload.decode("utf-8", "backslashreplace"),
        "after": each.came.payload.decode("utf-8", "backslashreplace"),
    }


_HEADLINES = {
    Verdict.CLEAN: ("No sign of an ALG", "green"),
    Verdict.ALG: ("The router has an ALG: it changes or makes SIP messages", "red"),
    Verdict.UNDECIDED: ("Undecided", "yellow"),
}


def _print(found: Comparison, left_out: list[str], messages: int) -> None:
    output = console.output()
    words, style = _HEADLINES[found.verdict]
    output.print(Text(words, style=style))
    for said in sentences(found):
        console.print_folded(said, output, 2, hanging=2)
    for each in found.pairing.changed[:messages]:
        way = "going out" if each.sent.outbound else "coming in"
        output.print(Text(f"\n{each.sent.label}, {way}", style="bold"))
        for pair in aligned(each.sent.payload, each.came.payload):
            for sign, one in (("-", pair.before), ("+", pair.after)):
                if one is not None:
                    console.print_exact(_marked(sign, one), output)
    rest = len(found.pairing.changed) - messages
    if rest > 0:
        output.print(
            f"\n{number_of(rest, 'more changed message')}: --messages {len(found.pairing.changed)} shows all"
        )
    for line in left_out:
        console.print_folded(line, output, style="dim")


def _marked(sign: str, line: Line) -> Text:
    """A line, with the bytes that differ in bold."""
    text, at = Text(f"  {sign} "), 0
    body = line.text.rstrip(b"\r\n")
    for start, end in line.marks:
        text.append(show(body[at:start]))
        text.append(show(body[start:end]), style="bold red" if sign == "-" else "bold green")
        at = min(end, len(body))
    text.append(show(body[at:]))
    return text
