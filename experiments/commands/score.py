"""``siplab score``: the scoreboard of detectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from siplab.experiments.commands import probe_packs, running
from siplab.experiments.commands.options import (
    Jobs,
    KeepCapabilities,
    KeptTraces,
    ModelPath,
    PcapMedia,
    Resume,
    Share,
    Sounds,
    TrialTimeout,
    Trust,
    Vary,
    World,
    as_numbers,
    as_texts,
    grouped,
    names,
    numbers,
    paths,
)
from siplab.experiments.commands.sweeping import Tables
from siplab.experiments.library import experiment
from siplab.experiments.output import book, console, files
from siplab.experiments.programs import ProgramDetector
from siplab.experiments.score import baseline, history, junit, outputs, table, tally
from siplab.experiments.score import plan as planning
from siplab.experiments.score.baseline import Baseline
from siplab.experiments.score.tally import Score
from siplab.experiments.tables import flat
from siplab.experiments.trial import registry
from siplab.experiments.trial.pairs import DEFAULT
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import needs_emulated
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.lab.errors import UsageError
from siplab.lab.plain_data import LARGEST_EXACT

app = typer.Typer(add_completion=False)

_PROGRAM: Final = "A program of yours as the detector"
_IN_FILE: Final = "Score the detectors that an experiment names, programs too: its id, or a YAML file."
_WRITTEN: Final = "What is written"


@dataclass
class Subjects:
    """What is scored, on which routers."""

    detector: Annotated[
        list[str], names(help="A detector: ID or ID(parameter=value); repeatable. Default: all.")
    ] = field(default_factory=list)
    from_experiment: Annotated[str | None, typer.Option("--from", metavar="EXPERIMENT", help=_IN_FILE)] = None
    models: Annotated[
        list[str],
        names(
            help="all, faults, variants (all, and their variants), bare (faults without the translation), "
            "losses (routers that lose one thing each), or a model; repeatable."
        ),
    ] = field(default_factory=lambda: ["all"])
    topology: Annotated[str, typer.Option(help="The network of the models; controls have their own.")] = (
        "home"
    )
    detector_path: Annotated[
        list[Path],
        paths("--detector-path", help="A .py file or folder with detectors of your own; repeatable."),
    ] = field(default_factory=list)
    model_path: ModelPath = field(default_factory=list)
    probe_pack: Annotated[
        bool,
        typer.Option(
            "--probe-pack",
            help="No detector: play one script of all kinds of messages through the models, and say which "
            "of them do the same. --out FOLDER writes what came out.",
        ),
    ] = False
    long: Annotated[
        bool, typer.Option("--long", help="With --probe-pack: silences of up to an hour, too.")
    ] = False
    pcap: Annotated[
        bool, typer.Option("--pcap", help="With --probe-pack and --out: captures of both sides, too.")
    ] = False

    @property
    def paths(self) -> tuple[str, ...]:
        return as_texts(self.detector_path)


@dataclass
class Trials:
    """How the trials are run."""

    world: World = "auto"
    repeat: Annotated[int, typer.Option(min=1, max=10_000, help="Run each trial with that many seeds.")] = 1
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_EXACT, help="The first seed.")] = 1
    vary: Vary = False
    jobs: Jobs = 1
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT
    share: Share = True
    keep_capabilities: KeepCapabilities = False
    check: Annotated[
        bool,
        typer.Option("--check", help="Only see whether each trial is the same in two processes; 1 if not."),
    ] = False


def _of_program(*declarations: str, **options: Any) -> Any:
    return typer.Option(*declarations, rich_help_panel=_PROGRAM, **options)


def _status(verdict: str) -> Any:
    return numbers(help=f"Exit status that says {verdict}; repeatable.", rich_help_panel=_PROGRAM)


@dataclass
class Program:
    """A program as the detector."""

    client: Annotated[str | None, _of_program(help="Its command line, run on the phone's host.")] = None
    server: Annotated[str | None, _of_program(help="Its server's, run on the server's host.")] = None
    name: Annotated[str, _of_program(help="What tables call it.")] = "program"
    alg_exit: Annotated[list[str], _status("ALG")] = field(default_factory=lambda: ["2"])
    clean_exit: Annotated[list[str], _status("clean")] = field(default_factory=lambda: ["0"])
    undecided_exit: Annotated[list[str], _status("undecided")] = field(default_factory=list)
    timeout: Annotated[float, _of_program(min=0.1, help="Seconds after which it is ended.")] = 30.0
    ready_port: Annotated[
        str | None, _of_program(help="The server is ready when this port is bound: udp/5060.")
    ] = None
    ready_log: Annotated[
        str | None, _of_program(help="The server is ready when it printed this (regular expression).")
    ] = None
    with_: Annotated[
        list[str],
        names(
            "--with",
            metavar="AGENT",
            help="The lab's server, far-phone or mirror beside it; repeatable.",
            rich_help_panel=_PROGRAM,
        ),
    ] = field(default_factory=list)

    def as_detector(self) -> ProgramDetector | None:
        """The detector, if options name one. Raises ``UsageError``."""
        if self.client is None:
            if self == type(self)():
                return None
            raise UsageError("the options of a program (--server, --with, --alg-exit ...) need --client")
        return ProgramDetector.from_options(
            client=self.client,
            server=self.server,
            id=self.name,
            alg_exit=as_numbers(self.alg_exit, "--alg-exit"),
            clean_exit=as_numbers(self.clean_exit, "--clean-exit"),
            undecided_exit=as_numbers(self.undecided_exit, "--undecided-exit"),
            timeout=self.timeout,
            ready_port=self.ready_port,
            ready_log=self.ready_log,
            agents=self.with_,
            here=str(Path.cwd()),
        )


def _into(*declarations: str, **options: Any) -> Any:
    return typer.Option(*declarations, rich_help_panel=_WRITTEN, **options)


@dataclass
class Written:
    """What is written, where."""

    out: Annotated[Path | None, _into(help="Folder for all of these, with traces and captures.")] = None
    traces: KeptTraces = "failed"
    resume: Resume = False
    audio: Sounds = "changes"
    pcap_media: PcapMedia = "carried"
    report: Annotated[
        Path | None,
        _into("--report", metavar="FILE.html", help="A page: the trials in which a detector was wrong."),
    ] = None
    trust: Trust = False
    json_file: Annotated[Path | None, _into("--json", help="JSON.")] = None
    csv_file: Annotated[Path | None, _into("--csv", help="CSV.")] = None
    junit_file: Annotated[Path | None, _into("--junit", help="JUnit XML.")] = None
    markdown: Annotated[Path | None, _into("--markdown", help="Markdown.")] = None
    badge: Annotated[
        Path | None,
        _into(help="A badge for shields.io's endpoint; - prints it, and nothing else, on standard output."),
    ] = None

    @property
    def badge_on_output(self) -> bool:
        return str(self.badge) == "-"

    def places(self) -> list[tuple[str, Path]]:
        """The form and the place of each report, found out to be writable. Raises ``UsageError``."""
        wanted = {"json": self.json_file, "csv": self.csv_file, "xml": self.junit_file, "md": self.markdown}
        if self.out is not None:
            files.prepare(self.out)
        found = [(form, path) for form, path in wanted.items() if path is not None]
        found += [(form, self.out / f"score.{form}") for form in wanted if self.out is not None]
        badge = [] if self.badge is None or self.badge_on_output else [self.badge]
        page = [] if self.report is None else [self.report]
        for path in [*(path for _, path in found), *badge, *page]:
            files.check_writable(path)
        return found


@dataclass
class Comparison:
    """What it is compared with."""

    baseline_file: Annotated[
        Path | None,
        typer.Option("--baseline", help="Exit status 1 where a detector is worse than this file says."),
    ] = None
    update_baseline: Annotated[
        bool, typer.Option("--update-baseline", help="Write this run into the baseline's file.")
    ] = False

    fail_under: Annotated[
        float | None,
        typer.Option(
            "--fail-under", metavar="SCORE", min=-1, max=1, help="Exit status 1 where a score is less."
        ),
    ] = None

    history_file: Annotated[
        Path | None,
        typer.Option(
            "--history", metavar="FILE.parquet", help="Append this run to a history; needs pyarrow."
        ),
    ] = None
    label: Annotated[
        str, typer.Option("--label", help="What the history calls this run: a commit, a firmware.")
    ] = ""
    trend: Annotated[
        Path | None,
        typer.Option("--trend", metavar="FILE.html", help="With --history: a page of all its runs."),
    ] = None

    def earlier(self) -> list[dict[str, Any]]:
        """The rows of the history, none where there is no file yet. Raises ``UsageError``."""
        if self.history_file is None:
            if self.trend is not None or self.label:
                raise UsageError("--trend and --label need --history FILE.parquet")
            return []
        flat.need()
        for path in (self.history_file, self.trend):
            if path is not None:
                files.check_writable(path)
        if not self.history_file.exists() or not self.history_file.stat().st_size:
            return []
        what = "history that `siplab score --history` wrote"
        found = flat.read(self.history_file, what)
        if found and tuple(found[0]) != history.COLUMNS:
            raise UsageError(f"{self.history_file}: no {what}: it has other columns")
        return found

    def before(self, detectors: Sequence[object]) -> Baseline | None:
        """The baseline to compare these with. Raises ``UsageError``."""
        if self.baseline_file is None and self.update_baseline:
            raise UsageError("--update-baseline needs --baseline FILE")
        if self.baseline_file is None or self.update_baseline:
            return None
        found = baseline.load(self.baseline_file)
        baseline.check(found, [str(each) for each in detectors], str(self.baseline_file))
        return found


@app.command()
@grouped
def score(
    subjects: Subjects,
    trials: Trials,
    program: Program,
    written: Written,
    tables: Tables,
    comparison: Comparison,
) -> None:
    """Score detectors: every model of the catalogue, and routers without an ALG.

    Exit status: 0 done; 1 an invalid trial, worse than the baseline or than --fail-under, a detector that
    gave nothing but errors, or, with --check, a trial that is not the same twice; 2 bad input, or an output
    that can't be written.
    """
    if subjects.probe_pack:
        probe_packs.score(
            subjects.models,
            subjects.topology,
            as_texts(subjects.model_path),
            written.out,
            long=subjects.long,
            pcap=subjects.pcap,
            output=console.output(),
        )
        return
    running.check(resume=written.resume, out=written.out, tables=tables)
    programs: list[str | ProgramDetector] = []
    if subjects.from_experiment is not None:
        named = experiment.load(subjects.from_experiment).detectors
        if not named:
            raise UsageError(f"{subjects.from_experiment}: field 'detectors': no detector is named there")
        programs += named
    own = program.as_detector()
    programs += [own] if own else []
    if trials.keep_capabilities:
        programs = [each if isinstance(each, str) else each.with_all_capabilities() for each in programs]
    chosen = _detectors(subjects.detector, subjects.paths, programs)
    if written.badge is not None and len(chosen) > 1:
        raise UsageError("--badge is for one detector: name it with --detector")
    before = comparison.before(chosen)
    earlier = comparison.earlier()
    known = as_texts(subjects.model_path)
    for name in planning.not_scored(subjects.models, model_paths=known):
        console.say(f"{name} is not scored: nothing is known of its ALG that could be run")
    plan = planning.plan(
        chosen,
        planning.subjects(subjects.models, topology=subjects.topology, model_paths=known),
        repeat=trials.repeat,
        seed=trials.seed,
        vary=trials.vary,
        model_paths=known,
        detector_paths=subjects.paths,
    )
    if trials.check:
        running.check_determinism(plan.trials, trials.trial_timeout)
        return
    outside = next((each for each in chosen if isinstance(each, ProgramDetector)), None)
    if outside is not None and trials.world == "simulated":
        raise UsageError(needs_emulated(f"detector '{outside.id}'"))
    wanted = "emulated" if outside is not None else trials.world
    kind, why = running.choose_world(None if wanted != trials.world else wanted, wanted, "programs need it")
    places = written.places()
    errors = console.errors()
    output = errors if written.badge_on_output else console.output()
    sizes = {"detector": len(chosen), "router": len(plan.subjects), "trial": len(plan.trials)}
    said = ", ".join(console.number_of(count, word) for word, count in sizes.items())
    errors.print(
        Text.assemble(
            ("score", "bold"),
            f": {said} in the {kind} world ({why}); phone {DEFAULT.phone}, server {DEFAULT.server}",
        )
    )
    results = running.run_trials(
        plan.trials,
        world=kind,
        jobs=trials.jobs,
        limit=trials.trial_timeout,
        share=trials.share,
        traces=written.traces,
        out=written.out,
        resume=written.resume,
        trust=written.trust,
        errors=errors,
        audio=written.audio,
        media=written.pcap_media,
        tables=tables,
        name="score",
    )
    scores = tally.scores(plan, results)
    table.print_scores(scores, output, repeated=trials.repeat > 1)
    captures = written.out if written.traces == "all" else None
    for form, path in places:
        files.write_text(path, _report(form, scores, kind, trials, captures))
    if written.report is not None:
        files.write_text(written.report, _page(scores, results, written.out, trials.trial_timeout))
    if written.badge_on_output:
        print(outputs.as_badge(scores[0]))
    elif written.badge is not None:
        files.write_text(written.badge, outputs.as_badge(scores[0]) + "\n")

    if comparison.history_file is not None:
        earlier += history.rows(
            scores,
            run=max((each["run"] for each in earlier), default=0) + 1,
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            label=comparison.label,
            world=kind,
            seed=trials.seed,
            repeat=trials.repeat,
            varied=trials.vary,
        )
        flat.write(comparison.history_file, earlier)
        if comparison.trend is not None:
            files.write_text(comparison.trend, history.page(earlier))
    name = str(comparison.baseline_file)
    worse = _compare(before, scores, name, output) if before is not None else False
    if comparison.baseline_file is not None and comparison.update_baseline:
        baseline.write(comparison.baseline_file, scores)
        console.print_exact(f"baseline written to {name}", output)
    worse = _below(comparison.fail_under, scores, output) or worse
    running.end(invalid=worse or any(each.count("invalid") for each in scores))
    for each in scores:
        running.end(invalid=False, verdicts=[outcome for row in each.rows for outcome in row.outcomes])


def _detectors(
    named: Sequence[str], paths: tuple[str, ...], programs: Sequence[str | ProgramDetector]
) -> list[str | ProgramDetector]:
    """Those that are named; where none is, all that there are."""
    known = registry.detectors(paths)
    chosen: list[str | ProgramDetector] = [known.get(each).id for each in named]
    return [*chosen, *programs] or [each.id for each in known]


def _report(form: str, scores: Sequence[Score], world: str, trials: Trials, captures: Path | None) -> str:
    match form:
        case "json":
            data = outputs.as_json(scores, world=world, seed=trials.seed, repeat=trials.repeat)
            return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
        case "csv":
            return outputs.as_csv(scores)
        case "xml":
            return junit.as_xml(scores, captures.absolute() if captures is not None else None)
        case _:
            return outputs.as_markdown(scores, repeated=trials.repeat > 1)


def _below(least: float | None, scores: Sequence[Score], output: Console) -> bool:
    """Say which scores are less than they have to be."""
    below = [each for each in scores if least is not None and each.value < least]
    for each in below:
        console.print_exact(
            f"{each.detector} has a score of {each.value:.4f}: less than {least:g}", output, "red"
        )
    return bool(below)


def _page(scores: Sequence[Score], results: Sequence[TrialResult], folder: Path | None, limit: float) -> str:
    """The trials in which a detector was wrong, or gave no answer."""
    outcomes = [outcome for each in scores for row in each.rows for outcome in row.outcomes]
    wrong = ("error", "false-alarm", "missed", "undecided", "invalid")
    about = "Trials in which a detector was wrong or gave no answer can be opened."
    return book.of_many(
        "Scoreboard",
        about,
        results,
        folder=folder,
        failed=lambda number, _: outcomes[number] in wrong,
        run=running.simulated(limit),
    )


def _compare(before: Baseline, scores: Sequence[Score], name: str, output: Console) -> bool:
    """Say what was lost since the baseline."""
    losses = baseline.losses(before, scores)
    for each in losses:
        console.print_exact(each.text, output, "red")
    if not losses:
        console.print_exact(f"no worse than {name}", output)
    return bool(losses)
