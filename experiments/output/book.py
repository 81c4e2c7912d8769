"""Selects the trials of a page and makes their documents: those that failed, up to what a page can hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from siplab.experiments.output import journal
from siplab.experiments.output.compatibility import Compatibility, Key, with_reports
from siplab.experiments.output.document import Run, document
from siplab.experiments.output.page.render import Entry, page
from siplab.experiments.output.view import TrialDocument
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.result import TrialResult
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.worlds.trace import Trace

MOST: Final = 300  # trials with a document of their own in one page


def of_one(result: TrialResult, trace: Trace, remedies: Sequence[str] = (), *, run: Run = trial.run) -> str:
    """The page of one trial. Raises ``UsageError`` for an unknown mitigation."""
    made = document(result, trace, remedies, run=run)
    return page(made.title, "", [_entry(result, made)])


def of_many(
    title: str,
    about: str,
    results: Sequence[TrialResult],
    *,
    folder: Path | None = None,
    failed: Callable[[int, TrialResult], bool] = lambda number, result: result.outcome in ("fail", "error"),
    progress: Callable[[object], None] = lambda result: None,
    run: Run = trial.run,
) -> str:
    """The page of an experiment: an index, and the trials that ``failed`` (by number and result).

    Traces are taken from ``folder`` if they are there. Otherwise ``run`` runs the trial again in the
    simulated world, which gives the same bytes. If that is not possible, the page says why there is no
    document.
    """
    entries: list[Entry] = []
    left_out = 0
    for number, result in enumerate(results):
        made, why = None, ""
        if failed(number, result):
            if sum(each.document is not None for each in entries) < MOST:
                made, why = _document(result, folder, run)
            else:
                left_out += 1
                why = "left out"
        entries.append(_entry(result, made, why))
        progress(result)
    words = (
        [f"{number_of(left_out, 'more failing trial')} left out: a page has the first {MOST}."]
        if left_out
        else []
    )
    if len(entries) > 1:
        words.append("Trials that did not fail are named only.")
    return page(title, about, entries, words)


def _entry(result: TrialResult, made: TrialDocument | None, why: str = "") -> Entry:
    first = result.first_failure
    failed = result.errors[0] if result.errors else f"{first.name}: {first.symptom}" if first else ""
    return Entry(result.spec.name.replace("__", ", "), result.outcome, failed, made, why)


def _document(result: TrialResult, folder: Path | None, run: Run) -> tuple[TrialDocument | None, str]:
    spec = result.spec
    try:
        trace = journal.stored_trace(folder, result.spec.stem) if folder is not None else None
        if trace is None:
            if spec.program is not None or spec.gateway == "kernel":
                return None, "its trace was not kept (--out FOLDER)"
            result, trace = run(spec)
        return document(result, trace, try_remedies=False, run=run), ""
    except UsageError as error:
        return None, str(error)


def titled(results: Iterable[tuple[str, TrialResult, Trace]], title: str, about: str) -> str:
    """The page of a few trials with titles of their own, as for a case."""
    entries = []
    for name, result, trace in results:
        made = document(result, trace, try_remedies=False)
        entries.append(Entry(name, result.outcome, _entry(result, None).failed, made))
    return page(title, about, entries)


def of_matrix(
    table: Compatibility,
    failures: Mapping[Key, TrialResult],
    folder: Path | None,
    *,
    before: Compatibility | None = None,
    run: Run = trial.run,
) -> str:
    """The page of a table. ``failures``: the trials that its cells link to, as many as a page can hold."""
    entries, reports = [], {}
    for key, result in list(failures.items())[:MOST]:
        made, why = _document(result, folder, run)
        entries.append(_entry(result, made, why))
        if made is not None:
            reports[key] = f"trial-{len(entries)}"
    more = len(failures) - len(entries)
    remedies = len(table.remedies) - 1  # the empty one is no mitigation
    sizes = {"router": len(table.subjects), "scenario": len(table.scenarios), "remedy": remedies}
    about = ", ".join(number_of(count, word) for word, count in sizes.items()) + "."
    if more > 0:
        about += f" The first {MOST} failing trials have reports here, {more} left out."
    title = "Compatibility" if before is None else "Compatibility, and what differs"
    return page(title, about, entries, matrix=with_reports(table, reports), before=before)
