"""``siplab call``: one trial, as a ladder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.commands import running
from siplab.experiments.commands.options import (
    DetectorPath,
    Gateway,
    Longest,
    ModelPath,
    PcapMedia,
    Report,
    ScenarioPath,
    Seed,
    Sounds,
    TrialTimeout,
    Vary,
    World,
    as_hypothesis,
    as_model,
    as_texts,
    default_model,
    grouped,
    names,
)
from siplab.experiments.explain import explained
from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.output import book, console, files, ladder
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)


@dataclass
class Trial:
    """What is tried."""

    model: Annotated[
        str,
        typer.Option(
            help="The router's ALG: ID or ID(parameter=value). Default with --gateway kernel: linux."
        ),
    ] = ""
    scenario: Annotated[str, typer.Option(help="What happens: ID or ID(parameter=value).")] = ""
    detector: Annotated[str, typer.Option(help="A detector in the place of a scenario.")] = ""
    mitigation: Annotated[list[str], names(help="A remedy; repeatable.")] = field(default_factory=list)
    phone: Annotated[str, typer.Option(help="The kind of the phone behind the router.")] = ""
    server: Annotated[str, typer.Option(help="The kind of the server.")] = ""
    far_phone: Annotated[str, typer.Option("--far-phone", help="The kind of the phones on the internet.")] = (
        ""
    )
    topology: Annotated[str, typer.Option(help="The network.")] = "home"
    gateway: Gateway = "queue"
    longest: Longest = 0.0
    hypothesis: Annotated[
        bool, typer.Option("--hypothesis", help="Of a vendor nobody knows: run what it likeliest does.")
    ] = False
    seed: Seed = None
    vary: Vary = False
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT
    model_path: ModelPath = field(default_factory=list)
    scenario_path: ScenarioPath = field(default_factory=list)
    detector_path: DetectorPath = field(default_factory=list)


@dataclass
class Page:
    """The page to write, and what it shows beside the trial."""

    report: Report = None
    compare: Annotated[
        list[str], names(help="A remedy for --report to show beside; repeatable. Default: two that help.")
    ] = field(default_factory=list)


@app.command()
@grouped
def call(
    wanted: Trial,
    page: Page,
    world: World = "auto",
    out: Annotated[Path | None, typer.Option(help="Write trace, captures and sound here.")] = None,
    audio: Sounds = "changes",
    pcap_media: PcapMedia = "short",
    brief: Annotated[bool, typer.Option("--brief", help="Only what came of it, and why.")] = False,
) -> None:
    """Run one trial: what came of it, and every message that the router changed.

    Exit status: 0 the trial ran (a failing check is a result), 1 it is invalid or the verdict is an error,
    2 bad input, or an output that can't be written.
    """
    play(wanted, world, out, brief=brief, page=page, audio=audio, media=pcap_media)


def play(
    wanted: Trial,
    world: World = "auto",
    out: Path | None = None,
    *,
    brief: bool = False,
    why: str = "",
    page: Page | None = None,
    audio: Sounds = "changes",
    media: PcapMedia = "short",
) -> None:
    """Run it; ``why`` in that world, if nobody asked for it.

    Raises ``UsageError``, and ``typer.Exit`` when the trial is invalid.
    """
    if bool(wanted.scenario) == bool(wanted.detector):
        raise UsageError("name one of --scenario and --detector")
    model = as_model(wanted.model) or default_model(wanted.gateway)
    if wanted.hypothesis:
        model = as_hypothesis(model)
    if not model:
        raise UsageError("name the router's ALG with --model; `siplab models` lists them")
    spec = TrialSpec(
        wanted.topology,
        model,
        wanted.scenario,
        wanted.detector,
        tuple(registry.mitigations().get(each).id for each in wanted.mitigation),
        1 if wanted.seed is None else wanted.seed,
        as_texts(wanted.model_path),
        as_texts(wanted.detector_path),
        as_texts(wanted.scenario_path),
        gateway=wanted.gateway,
        phone=wanted.phone,
        server=wanted.server,
        far_phone=wanted.far_phone,
        longest=wanted.longest,
        vary=wanted.vary,
    )
    trial.check_spec(spec)
    if page is not None and page.compare and page.report is None:
        raise UsageError(
            "--compare needs --report FILE.html: the page that shows the remedy beside the trial"
        )
    for each in page.compare if page is not None else ():
        registry.mitigations().get(each)
    kind, reason = runner.choose_world(world)
    if out is not None:
        files.prepare(out)
    if page is not None and page.report is not None:
        files.check_writable(page.report)
    store = None if out is None else ExplainedFolder(out, audio, media, proven=True)
    result, trace = runner.run_traced(spec, kind, store, limit=wanted.trial_timeout)
    output = console.output()
    if not brief:
        head = f"{spec.name.replace('__', ', ')} in the {kind} world ({why or reason})"
        console.print_folded(head, output, style="dim")
    shown = result if result.explanation else explained(result, trace)
    ladder.render(shown, trace, trial.network_of(spec), output, brief=brief)
    if page is not None and page.report is not None:
        files.write_text(
            page.report, book.of_one(result, trace, page.compare, run=running.simulated(wanted.trial_timeout))
        )
    running.say_notes(result.notes)
    verdicts = [result.finding.verdict] if result.finding is not None else []
    running.end(invalid=bool(result.errors), verdicts=verdicts)
