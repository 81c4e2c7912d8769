"""What `run` and `score` share: trials with a progress bar, which can be interrupted and gone on with."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console

from siplab.experiments.commands.sweeping import Tables, run_into
from siplab.experiments.explain.folder import ExplainedFolder, Traces
from siplab.experiments.output import alike, console, files
from siplab.experiments.output.journal import Journal
from siplab.experiments.output.progress import TrialProgress
from siplab.experiments.output.side_captures import Media
from siplab.experiments.trial import determinism, runner
from siplab.experiments.trial.recording import Audio
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.runner import InterruptedRunError
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.counting import number_of
from siplab.lab.errors import OutputError, UsageError
from siplab.lab.worlds.trace import Trace

INTERRUPTED: Final = 130  # the exit status of what Ctrl-C ends


def check(*, resume: bool, out: Path | None, tables: Tables | None = None) -> None:
    """Raises ``UsageError`` when there is nothing to go on from, and for options that don't go together."""
    if tables is not None:
        tables.check(out=out is not None)
    if resume and out is None and not (tables is not None and tables.parquet):
        raise UsageError("--resume needs --out FOLDER: where the results of the interrupted run are")


def choose_world(asked: str | None, otherwise: str, because: str) -> tuple[str, str]:
    """The world that was asked for, else that of the experiment, else what this machine can; and why.

    Raises ``CapabilityError``.
    """
    chosen: Any = asked or otherwise
    kind, why = runner.choose_world(chosen)
    return kind, because if asked != chosen and chosen != "auto" else why


def say_notes(notes: Iterable[str]) -> None:
    """Beside the results, not among them."""
    for note in dict.fromkeys(notes):
        if note:
            console.say(note)


def simulated(limit: float) -> Callable[[TrialSpec], tuple[TrialResult, Trace]]:
    """Runs trials for a page; one with plug-ins in a process of its own, ``limit`` seconds at most."""
    return lambda spec: runner.run_traced(spec, "simulated", limit=limit)


def run_trials(
    specs: Sequence[TrialSpec],
    *,
    world: str,
    jobs: int,
    limit: float,
    out: Path | None,
    resume: bool,
    trust: bool,
    errors: Console,
    keep: Callable[[list[TrialResult], int], None] = lambda results, total: None,
    share: bool = True,
    traces: Traces = "failed",
    audio: Audio = "changes",
    media: Media = "carried",
    tables: Tables | None = None,
    name: str = "",
) -> list[TrialResult]:
    """All results, in order. On Ctrl-C ``keep`` gets those that are there, and the command ends.

    ``tables``: where they are stored as tables of the experiment ``name``, if that is wanted.
    """
    if tables is not None and tables.parquet:
        how = tables.how(jobs, limit, share=share)
        try:
            return run_into(tables, name, specs, world, how, errors, resume=resume)
        except KeyboardInterrupt:
            console.say(f"interrupted; {_how_to_go_on(Path(tables.parquet))}")
            raise typer.Exit(INTERRUPTED) from None
    try:
        with Journal(out, world, resume=resume, trust=trust) if out is not None else nullcontext() as journal:
            if journal is not None and journal.moved is not None:
                console.say(f"the results of a former run are in {journal.moved} now")
            if resume and journal is not None:
                there = len(journal.known(specs))
                errors.print(f"{there} of {len(specs)} trials are there already")
                for reason, count in Counter(journal.untrusted.values()).items():
                    console.say(
                        f"{number_of(count, 'trial')} to run again: {reason}; "
                        "--trust takes their results as they are"
                    )
                if journal.damaged:
                    console.say(
                        f"{journal.path}: {number_of(journal.damaged, 'damaged line')}, "
                        "whose trials are run again"
                    )
            with TrialProgress(len(specs), errors) as advance:
                store = None if out is None else ExplainedFolder(out, audio, media, traces=traces)
                return runner.run_all(
                    specs,
                    world=world,
                    jobs=jobs,
                    store=store,
                    progress=advance,
                    journal=journal,
                    limit=limit,
                    share=share,
                )
    except InterruptedRunError as interruption:
        keep(interruption.results, interruption.total)
        console.say(f"{interruption}; {_how_to_go_on(out)}")
        raise typer.Exit(INTERRUPTED) from None
    except OutputError as error:
        raise OutputError(f"{error}; {_how_to_go_on(out)}") from None


_MOST_TOLD: Final = 5


def say_alike(results: Iterable[TrialResult]) -> None:
    """Which models can't be told apart, the largest groups first."""
    found = sorted(alike.groups(results), key=lambda each: -len(each.models))
    for each in found[:_MOST_TOLD]:
        console.say(
            f"{len(each.models)} models can't be told apart in {each.setting}: {', '.join(each.models)}"
        )
    if len(found) > _MOST_TOLD:
        console.say(f"so it is with {len(found) - _MOST_TOLD} more groups ('alike' in results.json)")


def end(*, invalid: bool, verdicts: Iterable[str] = ()) -> None:
    """Raises ``typer.Exit`` with 1 for invalid trials, and where all verdicts of a detector are ``error``."""
    found = set(verdicts)
    if invalid or found == {"error"}:
        raise typer.Exit(1)


def keep_partly(name: str, world: str, reports: Sequence[Path]) -> Callable[[list[TrialResult], int], None]:
    """Writes what is there into the files that were asked for."""

    def keep(results: list[TrialResult], total: int) -> None:
        files.write_results(reports, files.as_json(name, world, results, total))

    return keep


def _how_to_go_on(out: Path | None) -> str:
    if out is None:
        return "with --out FOLDER it could be gone on with"
    arguments = [each for each in sys.argv[1:] if each != "--resume"]
    return f"go on with: {shlex.join(['siplab', *arguments, '--resume'])}"


def check_determinism(specs: Sequence[TrialSpec], limit: float) -> None:
    """Run each trial in two processes, and say which are not the same in both.

    Raises ``typer.Exit`` where there is one, ``UsageError`` for programs, which run by the wall clock.
    """
    program = next((each.program for each in specs if each.program is not None), None)
    if program is not None:
        raise UsageError(
            f"detector '{program.id}' is a program: it runs by the wall clock, and is never the same"
        )
    output, wrong = console.output(), 0
    with TrialProgress(len(specs), console.errors()) as advance:
        for spec, text in determinism.differences(specs, limit, advance):
            wrong += 1
            console.print_exact(f"{spec.name}: {text}", output, "red")
    console.print_exact(
        f"{number_of(len(specs), 'trial')}, {len(specs) - wrong} the same in two processes", output
    )
    if wrong:
        raise typer.Exit(1)
