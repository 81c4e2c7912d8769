"""What ``siplab models``, ``topologies``, ``scenarios``... show: as data, and printed."""

from __future__ import annotations

import shlex
import textwrap
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from siplab import topologies as topology_files
from siplab.experiments.library import experiment as experiments_module
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.registry import Registry
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.alg import Card, Model, Showing

Row = dict[str, Any]


def models(paths: tuple[str, ...] = ()) -> list[Row]:
    """One row per model of the catalogue."""
    return [
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


def model(spec: str, paths: tuple[str, ...] = ()) -> Row:
    """Everything about one model. Raises ``UsageError`` for an unknown one."""
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
        "breaks scenarios": broken_by(card),
        "shows": [_command(each, showing) for showing in card.shows],
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


def broken_by(card: Card) -> list[str]:
    """The scenarios that a card says its model breaks, in the registry's order."""
    every = "all" in card.breaks
    return [
        each.id
        for each in registry.scenarios()
        if each.id in card.breaks or (every and f"-{each.id}" not in card.breaks)
    ]


def showing_spec(model: Model, showing: Showing) -> TrialSpec:
    """The trial in which a model's symptom shows."""
    varied = model.with_parameters(showing.variant)
    return TrialSpec(
        showing.topology, varied.id, showing.scenario, phone=showing.phone, server=showing.server
    )


def _command(model: Model, showing: Showing) -> str:
    spec = showing_spec(model, showing)
    words = ["siplab", "call", "--model", spec.model, "--scenario", spec.scenario]
    if spec.topology != "home":
        words += ["--topology", spec.topology]
    for kind, name in spec.kinds.items():
        words += [f"--{kind}", name]
    return f"{shlex.join(words)}: '{showing.fails}' fails"


def topologies() -> list[Row]:
    """One row per topology."""
    return [{"id": name, "summary": topology_files.load(name).summary} for name in topology_files.available()]


def topology(name: str) -> Row:
    """Everything about one topology. Raises ``UsageError`` for an unknown one."""
    return topology_files.load(name).model_dump(mode="json")


def items(registry: Registry[Any]) -> list[Row]:
    """One row per scenario, detector or mitigation."""
    return [
        {"id": each.id, "summary": each.summary, "parameters": _plain(each.parameters)} for each in registry
    ]


def item(registry: Registry[Any], spec: str) -> Row:
    """Everything about one of them. Raises ``UsageError`` for an unknown one."""
    each = registry.get(spec)
    return {
        "id": each.id,
        "summary": each.summary,
        "about": each.about,
        "parameters": _plain(each.parameters),
    }


def experiments() -> list[Row]:
    """One row per experiment that comes along."""
    return [
        {
            "id": name,
            "summary": experiments_module.load(name).summary,
            "trials": len(experiments_module.load(name).trials()),
        }
        for name in experiments_module.available()
    ]


def experiment(name: str) -> Row:
    """Everything about one experiment. Raises ``UsageError`` for an unknown one."""
    return experiments_module.load(name).model_dump(mode="json")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").rstrip("\n")


def _plain(values: Any) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in dict(values).items()}


# -- printing --------------------------------------------------------------------------------------


def print_rows(rows: list[Row], console: Console) -> None:
    """A list as a table, the columns being the keys."""
    if not rows:
        console.print("none")
        return
    shown = _columns(rows, console.width)
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    for name in shown:
        table.add_column(name, no_wrap=name == "id", overflow="ellipsis" if name == "id" else "fold")
    for row in rows:
        table.add_row(*(Text(_short(row[name])) for name in shown))
    console.print(table)
    left_out = [name for name in rows[0] if name not in shown]
    if left_out:
        console.print(Text(f"--json, or a wider terminal, has {', '.join(left_out)} too", style="dim"))


_LEAST_SUMMARY: Final = 28  # characters: in a narrower column a sentence can't be read
_MOST: Final = 24  # characters that another column asks for; the rest of it is folded
_DISPENSABLE: Final = ("parameters", "evidence", "class", "kind")


def _columns(rows: list[Row], width: int) -> list[str]:
    """The columns that leave room for the summary."""
    names = list(rows[0])
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
    """One thing in full."""
    console.print(Text(str(card["id"]), style="bold"))
    for name, value in card.items():
        if name == "id" or value in ("", [], {}):
            continue
        console.print()
        console.print(Text(name, style="bold cyan"))
        _print_value(value, console, "  ")


_EXAMPLE_MARKS = (("-", "before", "red"), ("+", "after", "green"), ("<", "answer", "yellow"))


def _print_value(value: Any, console: Console, indent: str) -> None:
    if isinstance(value, dict):
        if {"before", "after"} <= value.keys():
            console.print(Text(f"{indent}in {value['message']}:"))
            for mark, name, style in (
                ("-", "before", "red"),
                ("+", "after", "green"),
                ("<", "answer", "yellow"),
            ):
                for line in str(value.get(name, "")).splitlines():
                    console.print(Text(f"{indent}  {mark} {line}", style=style))
        elif "claim" in value:
            _say(f"[{value['evidence']}] {value['claim']}", console, indent)
            if "url" in value:
                console.print(Text(f"{indent}  {value['url']}"))
        else:
            for name, each in value.items():
                if isinstance(each, dict | list) and each:
                    console.print(Text(f"{indent}{name}:"))
                    _print_value(each, console, indent + "  ")
                else:
                    _say(f"{name}: {_short(each)}", console, indent)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, dict):
                _print_value(each, console, indent)
            else:
                _say(str(each), console, indent)
    else:
        for line in _paragraphs(str(value)):
            _say(line, console, indent)


def _say(line: str, console: Console, indent: str) -> None:
    """A line, folded at words, each part as far in as the first."""
    hanging = indent + ("  " if line.startswith("- ") else "")
    parts = textwrap.wrap(
        line,
        console.width,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    console.print(Text("\n".join(parts)))


def _paragraphs(text: str) -> list[str]:
    """Lines as they belong together; a source file breaks them where its own margin is."""
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
