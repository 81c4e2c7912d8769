"""What ``siplab models``, ``topologies``, ``scenarios``... show, as data and printed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from siplab import topologies as topology_files
from siplab.experiments.library import experiment as experiments_module
from siplab.experiments.output import commands
from siplab.experiments.output.console import grid, print_exact, print_folded
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.registry import Registry
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.alg import Card, Model, Showing, Sufferer

Row = dict[str, Any]


def models(paths: tuple[str, ...] = ()) -> list[Row]:
    """One row per model of the catalogue, grouped by class."""
    rows = [
        {
            "id": each.id,
            "kind": each.card.kind,
            "class": each.card.fault_class,
            "summary": each.card.summary,
            "parameters": _plain(each.parameters),
            "evidence": sorted({source.evidence.value for source in each.card.sources}),
        }
        for each in trial.models(paths)
    ]
    order = list(dict.fromkeys(map(class_of, rows)))
    return sorted(rows, key=lambda row: order.index(class_of(row)))


def model(spec: str, paths: tuple[str, ...] = ()) -> Row:
    """Everything about one model. Raises ``UsageError`` for an unknown model."""
    each = trial.models(paths).get(spec)
    card = each.card
    return {
        "id": each.id,
        "kind": card.kind,
        "class": card.fault_class,
        "summary": card.summary,
        "examples": [
            {
                "message": e.sample,
                "before": _text(e.before),
                "after": "(is dropped)" if e.after is None else _text(e.after),
                **({"answer": _text(e.answer)} if e.answer else {}),
            }
            for e in card.examples
        ],
        "breaks rules": list(card.rules),
        "symptom": card.symptom,
        "breaks scenarios": [
            {
                "phone": each.phone,
                "server": each.server,
                "seen": each.seen,
                "tried": list(each.tried),
                "scenarios": broken_by(each.breaks),
            }
            for each in _sufferers(card)
        ],
        "shows": [_command(each, showing) for showing in card.shows],
        **({"not shown": f"{card.not_shown.because}: {card.not_shown.text}"} if card.not_shown else {}),
        "sources": [
            {
                "claim": source.text,
                "evidence": source.evidence.value,
                **({"url": source.url} if source.url else {}),
            }
            for source in card.sources
        ],
        "parameters": _plain(each.parameters),
        "variants": [_plain(values) for values in each.variants],
        "steps": [repr(step) for step in each.steps],
        "inspects": _short(sorted(each.policy.transports)) + " to port " + _short(sorted(each.policy.ports)),
    }


def class_of(row: Row) -> str:
    """The heading under which a model is listed: its fault's class, or its kind; else empty."""
    return str(row.get("class") or row.get("kind") or "")


def broken_by(breaks: Sequence[str]) -> list[str]:
    """The scenarios in a card's text on what its model breaks, in the registry's order."""
    every = "all" in breaks
    return [
        each.id
        for each in registry.scenarios()
        if each.id in breaks or (every and f"-{each.id}" not in breaks)
    ]


def _sufferers(card: Card) -> Sequence[Sufferer]:
    """With which endpoints a model breaks what. Cards of users' models may not say this."""
    if card.sufferers or not card.breaks:
        return card.sufferers
    return [Sufferer(DEFAULT.phone, DEFAULT.server, card.breaks)]


def showing_spec(model: Model, showing: Showing) -> TrialSpec:
    """The trial in which a model's symptom shows."""
    varied = model.with_parameters(showing.variant)
    return TrialSpec(
        showing.topology, varied.id, showing.scenario, phone=showing.phone, server=showing.server
    )


def _command(model: Model, showing: Showing) -> str:
    return f"{commands.call(showing_spec(model, showing))}  # '{showing.fails}' fails"


def topologies() -> list[Row]:
    """One row per topology."""
    return [{"id": name, "summary": topology_files.load(name).summary} for name in topology_files.available()]


def topology(name: str) -> Row:
    """Everything about one topology. Raises ``UsageError`` for an unknown topology."""
    return topology_files.load(name).model_dump(mode="json")


def items(registry: Registry[Any]) -> list[Row]:
    """One row per scenario, detector or mitigation."""
    return [
        {"id": each.id, "summary": each.summary, "parameters": _plain(each.parameters)}
        for each in registry.listed()
    ]


def item(registry: Registry[Any], spec: str) -> Row:
    """Everything about one of them. Raises ``UsageError`` for an unknown name."""
    each = registry.get(spec)
    return {
        "id": each.id,
        "summary": each.summary,
        "about": each.about,
        "parameters": _plain(each.parameters),
    }


def experiments() -> list[Row]:
    """One row per experiment that belongs to the project."""
    return [
        {
            "id": name,
            "summary": experiments_module.load(name).summary,
            "trials": len(experiments_module.load(name).trials()),
        }
        for name in experiments_module.available()
    ]


def experiment(name: str) -> Row:
    """Everything about one experiment. Raises ``UsageError`` for an unknown experiment."""
    return experiments_module.load(name).model_dump(mode="json")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").rstrip("\n")


def _plain(values: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in dict(values).items()}


# -- printing --------------------------------------------------------------------------------------


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """Print a list as a table with the keys as columns. Rows that have a class are grouped by it."""
    if not rows:
        console.print("none")
        return
    shown = _columns(rows, console.width)
    cells: list[list[str | Text]] = []
    for title, group in groupby(rows, class_of):
        members: list[list[str | Text]] = [[_short(row[name]) for name in shown] for row in group]
        if title:
            blank: list[str | Text] = [""] * (len(shown) - 1)
            cells += [["", *blank]] if cells else []
            cells.append([Text(f"{title} ({len(members)})", "bold cyan"), *blank])
        cells += members
    console.print(grid(shown, cells, console.width, ruled=False))
    left_out = [name for name in rows[0] if name not in (*shown, *_TITLES)]
    if left_out:
        console.print(Text(f"--json, or a wider terminal, has {', '.join(left_out)} too", style="dim"))


_LEAST_SUMMARY: Final = 28  # characters; in a narrower column a sentence can't be read
_MOST: Final = 24  # characters that any other column gets at most; longer text is folded
_TITLES: Final = ("class", "kind")  # headings of groups, not columns
_DISPENSABLE: Final = ("parameters", "evidence")


def _columns(rows: Sequence[Row], width: int) -> list[str]:
    """The columns that leave room for the summary."""
    names = [name for name in rows[0] if name not in _TITLES]
    wide = {
        name: max(len(name), *(len(_short(row[name])) for row in rows)) for name in names if name != "summary"
    }
    for name in _DISPENSABLE if "summary" in names else ():
        asked = sum(min(wide[each], _MOST) if each != "id" else wide[each] for each in names if each in wide)
        if asked + 2 * len(names) + _LEAST_SUMMARY <= width:
            break
        if name in names:
            names.remove(name)
    return names


def print_card(card: Row, console: Console) -> None:
    """Print everything about one thing."""
    console.print(Text(str(card["id"]), style="bold"))
    for name, value in card.items():
        if name == "id" or value in ("", [], {}):
            continue
        console.print()
        console.print(Text(name, style="bold cyan"))
        _print_value(value, console, 2)


_EXAMPLE_MARKS: Final = (("-", "before", "red"), ("+", "after", "green"), ("<", "answer", "yellow"))


def _print_value(value: Any, console: Console, indent: int) -> None:
    lead = " " * indent
    if isinstance(value, dict):
        if {"before", "after"} <= value.keys():
            print_exact(f"{lead}in {value['message']}:", console)
            for mark, name, style in _EXAMPLE_MARKS:
                for line in str(value.get(name, "")).splitlines():
                    print_exact(f"{lead}  {mark} {line}", console, style)
        elif "tried" in value:
            _print_sufferer(value, console, indent)
        elif "claim" in value:
            print_folded(f"[{value['evidence']}] {value['claim']}", console, indent)
            if "url" in value:
                print_exact(f"{lead}  {value['url']}", console)
        else:
            for name, each in value.items():
                if isinstance(each, dict | list) and each:
                    console.print(Text(f"{lead}{name}:"))
                    _print_value(each, console, indent + 2)
                else:
                    print_folded(f"{name}: {_short(each)}", console, indent)
    elif isinstance(value, list):
        for each in value:
            _print_value(each, console, indent)
    else:
        for line in _paragraphs(str(value)):
            if line.lstrip().startswith("siplab "):
                print_exact(lead + line, console)
            else:
                print_folded(line, console, indent, hanging=2 if line.startswith("- ") else 0)
            if not line:
                console.print()


def _print_sufferer(value: Row, console: Console, indent: int) -> None:
    """Print with which endpoints a model breaks what."""
    who = f"{value['phone']} + {value['server']}"
    if value["seen"]:
        who += ", seen"
    elif who == str(DEFAULT):
        who += ", the default"
    broken, tried = value["scenarios"], value["tried"] or [each.id for each in registry.scenarios()]
    if not broken:
        said = f"none of {_short(tried)}" if value["tried"] else "none"
    else:
        said = "all" if len(broken) == len(tried) and not value["tried"] else _short(broken)
        said += f" (of {_short(tried)})" if value["tried"] and len(broken) < len(tried) else ""
    print_folded(f"- {who}: {said}", console, indent, hanging=2)


def _paragraphs(text: str) -> list[str]:
    """The paragraphs of a text. Line breaks from the source file's margin are removed."""
    lines: list[str] = []
    for line in text.splitlines():
        new = not line.strip() or line.startswith((" ", "- ")) or not lines or not lines[-1].strip()
        if new:
            lines.append(line)
        else:
            lines[-1] += " " + line
    return lines


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "" if value is None else str(value)
