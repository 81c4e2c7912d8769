"""``siplab call``: one trial, as a ladder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments.commands import running
from siplab.experiments.commands.options import (
    Gateway,
    ModelPath,
    Seed,
    TrialTimeout,
    World,
    as_model,
    as_texts,
    default_model,
    grouped,
    names,
)
from siplab.experiments.explain import explained
from siplab.experiments.explain.folder import ExplainedFolder
from siplab.experiments.output import console, files, ladder
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
    seed: Seed = None
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT
    model_path: ModelPath = field(default_factory=list)
    scenario_path: Annotated[
        list[Path],
        typer.Option("--scenario-path", help="A .py file or folder with scenarios of your own; repeatable."),
    ] = field(default_factory=list)
    detector_path: Annotated[
        list[Path],
        typer.Option("--detector-path", help="A .py file or folder with detectors of your own; repeatable."),
    ] = field(default_factory=list)


@app.command()
@grouped
def call(
    wanted: Trial,
    world: World = "auto",
    out: Annotated[Path | None, typer.Option(help="Write trace and capture here.")] = None,
    brief: Annotated[bool, typer.Option("--brief", help="Only what came of it, and why.")] = False,
) -> None:
    """Run one trial: what came of it, and every message that the router changed.

    Exit status: 0 the trial ran (a failing check is a result), 1 it is invalid or the verdict is an error,
    2 bad input, or an output that can't be written.
    """
    play(wanted, world, out, brief=brief)


def play(
    wanted: Trial, world: World = "auto", out: Path | None = None, *, brief: bool = False, why: str = ""
) -> None:
    """Run it; ``why`` in that world, if nobody asked for it.

    Raises ``UsageError``, and ``typer.Exit`` when the trial is invalid.
    """
    if bool(wanted.scenario) == bool(wanted.detector):
        raise UsageError("name one of --scenario and --detector")
    model = as_model(wanted.model) or default_model(wanted.gateway)
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
    )
    trial.check_spec(spec)
    kind, reason = runner.choose_world(world)
    if out is not None:
        files.prepare(out)
    store = None if out is None else ExplainedFolder(out, proven=True)
    result, trace = runner.run_traced(spec, kind, store, limit=wanted.trial_timeout)
    output = console.output()
    if not brief:
        head = f"{spec.name.replace('__', ', ')} in the {kind} world ({why or reason})"
        console.print_folded(head, output, style="dim")
    shown = result if result.explanation else explained(result, trace)
    ladder.render(shown, trace, trial.network_of(spec), output, brief=brief)
    running.say_notes(result.notes)
    verdicts = [result.finding.verdict] if result.finding is not None else []
    running.end(invalid=bool(result.errors), verdicts=verdicts)
