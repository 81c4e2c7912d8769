"""``siplab score``: the scoreboard of detectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from siplab.experiments.commands import running
from siplab.experiments.library import experiment
from siplab.experiments.output import files
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.score import baseline, junit, outputs, table, tally
from siplab.experiments.score import plan as planning
from siplab.experiments.score.baseline import Baseline
from siplab.experiments.score.tally import Score
from siplab.experiments.trial import registry, runner
from siplab.experiments.trial.spec import needs_emulated
from siplab.lab.errors import UsageError

_PROGRAM = "A program of yours as the detector"
_IN_FILE = "Score the detectors that an experiment names, programs too: its id, or a YAML file."
_WRITTEN = "What is written"


def score(
    detector: Annotated[
        list[str], typer.Option(help="A detector: ID or ID(parameter=value); repeatable. Default: all.")
    ] = [],  # noqa: B006
    from_experiment: Annotated[
        str | None, typer.Option("--from", metavar="EXPERIMENT", help=_IN_FILE)
    ] = None,
    models: Annotated[
        list[str],
        typer.Option(help="all, faults, variants (all, and the models' variants), or a model; repeatable."),
    ] = ["all"],  # noqa: B006
    topology: Annotated[
        str, typer.Option(help="The network of the models; controls have their own.")
    ] = "home",
    world: Annotated[
        Literal["auto", "simulated", "emulated"],
        typer.Option(
            help="Where trials run: the real kernel (emulated), in memory, or what this machine can."
        ),
    ] = "auto",
    repeat: Annotated[int, typer.Option(min=1, max=10_000, help="Run each trial with that many seeds.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trials side by side.")] = 1,
    detector_path: Annotated[
        list[Path],
        typer.Option("--detector-path", help="A .py file or folder with detectors of your own; repeatable."),
    ] = [],  # noqa: B006
    model_path: Annotated[
        list[Path],
        typer.Option("--model-path", help="A .py file or folder with models of your own; repeatable."),
    ] = [],  # noqa: B006
    client: Annotated[
        str | None, typer.Option(help="Its command line, run on the phone's host.", rich_help_panel=_PROGRAM)
    ] = None,
    server: Annotated[
        str | None, typer.Option(help="Its server's, run on the server's host.", rich_help_panel=_PROGRAM)
    ] = None,
    name: Annotated[str, typer.Option(help="What tables call it.", rich_help_panel=_PROGRAM)] = "program",
    alg_exit: Annotated[
        list[int], typer.Option(help="Exit status that says ALG; repeatable.", rich_help_panel=_PROGRAM)
    ] = [2],  # noqa: B006
    clean_exit: Annotated[
        list[int], typer.Option(help="Exit status that says clean; repeatable.", rich_help_panel=_PROGRAM)
    ] = [0],  # noqa: B006
    undecided_exit: Annotated[
        list[int], typer.Option(help="Exit status that says undecided; repeatable.", rich_help_panel=_PROGRAM)
    ] = [],  # noqa: B006
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which it is ended.", rich_help_panel=_PROGRAM)
    ] = 30.0,
    ready_port: Annotated[
        str | None,
        typer.Option(help="The server is ready when this port is bound: udp/5060.", rich_help_panel=_PROGRAM),
    ] = None,
    ready_log: Annotated[
        str | None,
        typer.Option(
            help="The server is ready when it printed this (regular expression).", rich_help_panel=_PROGRAM
        ),
    ] = None,
    with_: Annotated[
        list[str],
        typer.Option(
            "--with",
            metavar="AGENT",
            help="The lab's server, far-phone or mirror beside it; repeatable.",
            rich_help_panel=_PROGRAM,
        ),
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for all of these, with traces and captures.", rich_help_panel=_WRITTEN),
    ] = None,
    resume: running.Resume = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON.", rich_help_panel=_WRITTEN)] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="CSV.", rich_help_panel=_WRITTEN)] = None,
    junit_file: Annotated[
        Path | None, typer.Option("--junit", help="JUnit XML.", rich_help_panel=_WRITTEN)
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Markdown.", rich_help_panel=_WRITTEN)
    ] = None,
    badge: Annotated[
        Path | None,
        typer.Option(
            help="A badge for shields.io's endpoint; - prints it, and nothing else, on standard output.",
            rich_help_panel=_WRITTEN,
        ),
    ] = None,
    baseline_file: Annotated[
        Path | None,
        typer.Option("--baseline", help="Exit status 1 where a detector is worse than this file says."),
    ] = None,
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write this run into the baseline's file.")
    ] = False,
) -> None:
    """Score detectors: every model of the catalogue, and routers without an ALG.

    Exit status: 0 done, 1 an invalid trial or worse than the baseline, 2 bad input.
    """
    running.check(resume=resume, out=out)
    paths = tuple(str(each) for each in detector_path)
    programs: list[str | ProgramDetector] = []
    if from_experiment is not None:
        programs += experiment.load(from_experiment).detectors
    if client is not None or server is not None:
        exits = (alg_exit, clean_exit, undecided_exit)
        programs.append(_program(client, server, name, exits, timeout, ready_port, ready_log, with_))
    chosen = _detectors(detector, paths, programs)
    if update_baseline and baseline_file is None:
        raise UsageError("--update-baseline needs --baseline FILE")
    if badge is not None and len(chosen) > 1:
        raise UsageError("--badge is for one detector: name it with --detector")
    before = None
    if baseline_file is not None and not update_baseline:
        before = baseline.load(baseline_file)
        baseline.check(before, [str(each) for each in chosen], str(baseline_file))
    known = tuple(str(each) for each in model_path)
    plan = planning.plan(
        chosen,
        planning.subjects(models, topology=topology, model_paths=known),
        repeat=repeat,
        seed=seed,
        model_paths=known,
        detector_paths=paths,
    )
    outside = next((each for each in chosen if isinstance(each, ProgramDetector)), None)
    if outside is not None and world == "simulated":
        raise UsageError(needs_emulated(outside.id))
    kind, why = runner.choose_world("emulated" if outside is not None else world)
    wanted = {"json": json_file, "csv": csv_file, "xml": junit_file, "md": markdown}
    if out is not None:
        files.prepare(out)
    written = [(form, path) for form, path in wanted.items() if path is not None]
    written += [(form, out / f"score.{form}") for form in wanted if out is not None]
    on_output = badge is not None and str(badge) == "-"
    for path in [path for _, path in written] + ([badge] if badge is not None and not on_output else []):
        files.check_writable(path)

    errors = Console(stderr=True)
    console = errors if on_output else Console()
    errors.print(
        f"[bold]score[/]: {len(chosen)} detectors, {len(plan.subjects)} routers, {len(plan.trials)} trials "
        f"in the {kind} world ({why})",
        highlight=False,
    )
    results = running.run_trials(plan.trials, world=kind, jobs=jobs, out=out, resume=resume, errors=errors)
    scores = tally.scores(plan, results)
    table.print_scores(scores, console, repeated=repeat > 1)
    for form, path in written:
        path.write_text(_written(form, scores, kind, seed, repeat), encoding="utf-8")
    if on_output:
        print(outputs.as_badge(scores[0]))
    elif badge is not None:
        badge.write_text(outputs.as_badge(scores[0]) + "\n", encoding="utf-8")

    worse = _compare(before, scores, str(baseline_file), console) if before is not None else False
    if baseline_file is not None and update_baseline:
        baseline.write(baseline_file, scores)
        console.print(f"baseline written to {baseline_file}", highlight=False, markup=False)
    if worse or any(each.count("invalid") for each in scores):
        raise typer.Exit(1)


def _program(
    client: str | None,
    server: str | None,
    name: str,
    exits: tuple[list[int], list[int], list[int]],
    timeout: float,
    ready_port: str | None,
    ready_log: str | None,
    agents: list[str],
) -> ProgramDetector:
    if client is None:
        raise UsageError("--server needs --client: the client's exit status is the verdict")
    alg, clean, undecided = exits
    return ProgramDetector.from_options(
        client=client,
        server=server,
        id=name,
        alg_exit=alg,
        clean_exit=clean,
        undecided_exit=undecided,
        timeout=timeout,
        ready_port=ready_port,
        ready_log=ready_log,
        agents=agents,
        here=str(Path.cwd()),
    )


def _detectors(
    named: Sequence[str], paths: tuple[str, ...], programs: Sequence[str | ProgramDetector]
) -> list[str | ProgramDetector]:
    """Those that are named; where none is, all that there are."""
    known = registry.detectors(paths)
    chosen: list[str | ProgramDetector] = [known.get(each).id for each in named]
    return [*chosen, *programs] or [each.id for each in known]


def _written(form: str, scores: Sequence[Score], world: str, seed: int, repeat: int) -> str:
    match form:
        case "json":
            data = outputs.as_json(scores, world=world, seed=seed, repeat=repeat)
            return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        case "csv":
            return outputs.as_csv(scores)
        case "xml":
            return junit.as_xml(scores)
        case _:
            return outputs.as_markdown(scores, repeated=repeat > 1)


def _compare(before: Baseline, scores: Sequence[Score], name: str, console: Console) -> bool:
    """Say what was lost since the baseline."""
    losses = baseline.losses(before, scores)
    for each in losses:
        console.print(each.text, style="red", highlight=False, markup=False)
    if not losses:
        console.print(f"no worse than {name}", highlight=False, markup=False)
    return bool(losses)
