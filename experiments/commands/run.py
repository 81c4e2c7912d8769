"""``siplab run``: an experiment, as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from siplab.experiments.commands import running
from siplab.experiments.commands.options import (
    Choice,
    Jobs,
    KeepCapabilities,
    KeptTraces,
    Kinds,
    Longest,
    ModelPath,
    PcapMedia,
    Report,
    Resume,
    Seed,
    Share,
    Sounds,
    TrialTimeout,
    Trust,
    Vary,
    as_texts,
    grouped,
)
from siplab.experiments.commands.sweeping import Tables
from siplab.experiments.library import experiment
from siplab.experiments.output import book, console, files, journal, table
from siplab.experiments.trial.spec import MOST_STORED, MOST_TRIALS
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)


@dataclass
class Settings:
    """How the trials are run, and what is written."""

    world: Annotated[
        Choice | None,
        typer.Option(help="Where trials run; default: what the experiment says, else what this machine can."),
    ] = None
    seed: Seed = None
    vary: Vary = False
    longest: Longest = 0.0
    jobs: Jobs = 1
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the results to this file.")] = None
    out: Annotated[Path | None, typer.Option(help="Write results.json, traces and captures here.")] = None
    traces: KeptTraces = "failed"
    resume: Resume = False
    report: Report = None
    audio: Sounds = "changes"
    pcap_media: PcapMedia = "carried"
    trust: Trust = False
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT
    share: Share = True
    keep_capabilities: KeepCapabilities = False
    model_path: ModelPath = field(default_factory=list)


@app.command()
@grouped
def run(
    name: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="An experiment's id, or a YAML file.")],
    kinds: Kinds,
    settings: Settings,
    tables: Tables,
) -> None:
    """Run an experiment and print its table.

    Endpoints that are named here take the place of the file's: --phones libre,linphone --servers hosted.

    Exit status: 0 all trials ran (failing checks are results), 1 some are invalid or all verdicts are errors,
    2 bad input, or an output that can't be written.
    """
    play(name, settings, kinds, tables=tables)


def play(
    name: str, settings: Settings, kinds: Kinds | None = None, why: str = "", tables: Tables | None = None
) -> None:
    """Run it; ``why`` in that world, if nobody asked for it.

    Raises ``UsageError``, and ``typer.Exit`` when there are invalid trials.
    """
    running.check(resume=settings.resume, out=settings.out, tables=tables)
    chosen = experiment.load(name)
    if kinds is not None:
        chosen = chosen.with_kinds(kinds.phones, kinds.servers, kinds.far_phones)
    if settings.longest:
        chosen = chosen.model_copy(update={"longest": settings.longest})
    if settings.vary:
        chosen = chosen.model_copy(update={"vary": True})
    if settings.keep_capabilities:
        chosen = chosen.with_all_capabilities()
    try:
        most = MOST_STORED if tables is not None and tables.parquet else MOST_TRIALS
        specs = chosen.trials(as_texts(settings.model_path), settings.seed, most=most)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from None
    kind, reason = running.choose_world(settings.world, chosen.world, "as the experiment says")
    out = settings.out
    if out is not None:
        files.prepare(out)
    reports = [path for path in (settings.json_file, out / files.RESULTS if out else None) if path]
    for path in (*reports, *([settings.report] if settings.report else [])):
        files.check_writable(path)
    output, errors = console.output(), console.errors()
    many = console.number_of(len(specs), "trial")
    errors.print(Text.assemble((chosen.id, "bold"), f": {many} in the {kind} world ({why or reason})"))
    results = running.run_trials(
        specs,
        world=kind,
        jobs=settings.jobs,
        limit=settings.trial_timeout,
        share=settings.share,
        traces=settings.traces,
        out=out,
        resume=settings.resume,
        trust=settings.trust,
        errors=errors,
        keep=running.keep_partly(chosen.id, kind, reports),
        audio=settings.audio,
        media=settings.pcap_media,
        tables=tables,
        name=chosen.id,
    )
    if chosen.summary:
        console.print_folded(chosen.summary, output, style="italic")
    show = table.print_endpoints if chosen.columns == "endpoints" else table.print_table
    show(results, output)
    output.print(f"{console.number_of(len(results), 'trial')}: {table.summary(results)}")
    running.say_notes(note for result in results for note in result.notes)
    running.say_alike(results)
    data = files.as_json(chosen.id, kind, results)
    files.write_results(reports, data)
    if out is not None:
        journal.settle(out, kind, results)
    if settings.report is not None:
        text = book.of_many(
            chosen.id,
            chosen.summary or "",
            results,
            folder=out,
            run=running.simulated(settings.trial_timeout),
        )
        files.write_text(settings.report, text)
    found = [result.finding.verdict for result in results if result.finding is not None]
    running.end(invalid=any(result.errors for result in results), verdicts=found)
