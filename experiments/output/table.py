"""Prints an experiment's results as tables: one per set of mitigations, a row per router.

There is a column per situation, or one for each pair of endpoints, with what fails first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from siplab.experiments.output.console import grid
from siplab.experiments.trial.result import TrialResult
from siplab.lab.counting import number_of

T = TypeVar("T")

_STYLES = {
    "pass": "green",
    "fail": "bold red",
    "alg": "bold yellow",
    "clean": "green",
    "undecided": "magenta",
    "not applicable": "dim",
    "unknown": "dim",
    "error": "bold white on red",
}
_MANY = 10  # columns; more are not printed side by side
_WORDS = {
    "pass": "works",
    "alg": "ALG!",
    "error": "ERROR",
    "not applicable": "n/a",
    "unknown": "nobody knows",
}


def print_table(results: Sequence[TrialResult], console: Console) -> None:
    """Print one table per set of mitigations and per kinds of endpoints."""
    columns = _unique(each.spec.played for each in results)
    detectors = {each.spec.played for each in results if each.spec.detector}
    by_title: dict[str, list[TrialResult]] = {}
    for each in results:
        by_title.setdefault(_title(each.spec.kinds, each.spec.mitigations), []).append(each)
    for title, block in by_title.items():
        if len(columns) > _MANY:
            _print_failures(block, columns, title, console)
            continue
        heads = [f"{column} says" if column in detectors else column for column in columns]
        rows: list[list[str | Text]] = [
            [model]
            + [
                _cell([r for r in block if r.spec.model == model and column == r.spec.played])
                for column in columns
            ]
            for model in _unique(each.spec.model for each in block)
        ]
        _print(title, ["router's ALG", *heads], rows, console)
    _print_errors(results, console)


def print_endpoints(results: Sequence[TrialResult], console: Console) -> None:
    """Print one table per set of mitigations: what fails first with each phone and server."""
    phones = _unique(each.spec.phone for each in results)
    servers = _unique(each.spec.server for each in results)
    pairs = [(phone, server) for phone in phones for server in servers]
    for remedies, far_phone in _unique((each.spec.mitigations, each.spec.far_phone) for each in results):
        block = [
            each for each in results if (each.spec.mitigations, each.spec.far_phone) == (remedies, far_phone)
        ]
        cells: dict[tuple[str, str, str], list[TrialResult]] = {}
        for each in block:
            cells.setdefault((each.spec.model, each.spec.phone, each.spec.server), []).append(each)
        rows: list[list[str | Text]] = [
            [model, *(_first(cells[model, phone, server]) for phone, server in pairs)]
            for model in _unique(each.spec.model for each in block)
        ]
        common = servers[0] if len(servers) == 1 else ""
        heads = [phone if common else f"{phone}, {server}" for phone, server in pairs]
        title = _title({"server": common, "far-phone": far_phone}, remedies)
        _print(title, ["router's ALG", *heads], rows, console)
    _print_errors(results, console)


def _first(results: Sequence[TrialResult]) -> Text:
    """The first outcome that is not as it should be; if there is none, the first outcome."""
    return _outcome(next((each for each in results if each.outcome not in ("pass", "clean")), results[0]))


def _print_errors(results: Sequence[TrialResult], console: Console) -> None:
    errors = [each for each in results if each.errors]
    for each in errors[:10]:
        console.print(Text(f"error in {each.spec.name}: {each.errors[0]}", style="red"))
    if len(errors) > 10:
        console.print(f"... and {number_of(len(errors) - 10, 'more trial')} with errors")


def _print_failures(results: Sequence[TrialResult], columns: list[str], title: str, console: Console) -> None:
    """For more columns than fit: what is not as it should be, in words, and a count of the rest."""
    rows: list[list[str | Text]] = []
    for model in _unique(each.spec.model for each in results):
        found = [[r for r in results if (r.spec.model, r.spec.played) == (model, name)] for name in columns]
        groups: dict[str, list[str]] = {}
        for name, cell in zip(columns, found, strict=True):
            if cell and any(each.outcome != "pass" for each in cell):
                groups.setdefault(_cell(cell).plain, []).append(name)
        works = sum(all(each.outcome == "pass" for each in cell) for cell in found if cell)
        words = "; ".join(f"{what}: {', '.join(names)}" for what, names in groups.items())
        rows.append([model, f"{works} of {sum(map(bool, found))}", words])
    _print(title, ["router's ALG", "works", "and else"], rows, console)


def _print(title: str, heads: Sequence[str], rows: Sequence[Sequence[str | Text]], console: Console) -> None:
    console.print(Text(title, style="bold"))
    console.print()
    console.print(grid(heads, rows, console.width))
    console.print()


def _title(kinds: Mapping[str, str], mitigations: Sequence[str]) -> str:
    remedy = f"with {' and '.join(mitigations)}" if mitigations else "with nothing done about it"
    return ", ".join([*(f"{kind.replace('-', ' ')} {name}" for kind, name in kinds.items() if name), remedy])


def _cell(results: Sequence[TrialResult]) -> Text:
    """One outcome; if trials were repeated, how often each occurred, the most frequent first."""
    if len(results) == 1:
        return _outcome(results[0])
    counts = Counter((_outcome(each).plain, each.outcome) for each in results)
    parts = [
        Text(f"{word} {count}/{len(results)}", style=_STYLES.get(outcome, ""))
        for (word, outcome), count in counts.most_common()
    ]
    return Text(", ").join(parts)


def _outcome(result: TrialResult) -> Text:
    outcome = result.outcome
    if outcome != "fail":
        return Text(_WORDS.get(outcome, outcome), style=_STYLES.get(outcome, ""))
    failed = [check.name for check in result.checks if not check.passed]
    # A call to a phone that is not registered fails. The call's own column already says so.
    name = next((each for each in failed if each not in _PRELIMINARY), failed[0])
    return Text(_FAILURES.get(name, f"fails: {name}"), style=_STYLES["fail"])


_PRELIMINARY = frozenset({"registered", "known to the server"})
# Failed checks in words that fit a cell.
_FAILURES = {
    "registered": "unregistered",
    "known to the server": "not known",
    "rings": "does not ring",
    "answered": "no answer",
    "stays up": "drops",
    "caller hears": "one-way audio",
    "callee hears": "one-way audio",
    "hangs up": "stays open",
}


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))


def summary(results: Sequence[TrialResult]) -> str:
    """One line of counts."""
    counts = Counter(each.outcome for each in results)
    order = ("pass", "fail", "alg", "clean", "undecided", "not applicable", "unknown", "error")
    return ", ".join(f"{counts[word]} {_WORDS.get(word, word)}" for word in order if counts[word])
