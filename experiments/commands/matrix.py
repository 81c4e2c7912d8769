"""``siplab matrix``: which routers let which calls through, with which remedy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from siplab.alg_models import vendors as vendor_files
from siplab.experiments.commands import running, stored
from siplab.experiments.commands.options import (
    Jobs,
    KeptTraces,
    ModelPath,
    Resume,
    Share,
    TrialTimeout,
    Vary,
    World,
    as_texts,
    grouped,
    names,
)
from siplab.experiments.commands.sweeping import Tables
from siplab.experiments.output import book, compatibility, console, files
from siplab.experiments.output.compatibility import Compatibility, Plan
from siplab.experiments.trial import registry
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT

app = typer.Typer(add_completion=False)
_STYLES = {"works": "green", "fails": "red", "varies": "yellow", "invalid": "bold red"}


@dataclass
class What:
    """What is tried."""

    models: Annotated[list[str], names(help="Models: ids, all, faults, variants; repeatable.")] = field(
        default_factory=list
    )
    vendors: Annotated[
        list[str], names(help="Vendors' cards: ids, or all; repeatable. Default without --models: all.")
    ] = field(default_factory=list)
    scenario: Annotated[list[str], names(help="What happens; repeatable. Default: all.")] = field(
        default_factory=list
    )
    mitigation: Annotated[list[str], names(help="A remedy, or several joined by +; repeatable.")] = field(
        default_factory=list
    )
    topology: Annotated[list[str], names(help="The network; repeatable.")] = field(
        default_factory=lambda: ["home"]
    )
    phone: Annotated[list[str], names(help="The kind of the phone; repeatable.")] = field(
        default_factory=list
    )
    server: Annotated[list[str], names(help="The kind of the server; repeatable.")] = field(
        default_factory=list
    )
    repeat: Annotated[int, typer.Option(min=1, max=10_000, help="Run each trial with that many seeds.")] = 1
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 1
    vary: Vary = False
    model_path: ModelPath = field(default_factory=list)
    trial_timeout: TrialTimeout = TRIAL_TIMEOUT
    share: Share = True

    def plan(self) -> Plan:
        """All cells. Raises ``UsageError`` for an unknown name."""
        vendors = self.vendors or ([] if self.models else ["all"])
        if "all" in vendors:
            vendors = vendor_files.available()
        known, remedies = registry.scenarios(), registry.mitigations()
        sets = ["+".join(remedies.get(part).id for part in each.split("+")) for each in self.mitigation]
        return Plan(
            compatibility.subjects(self.models, vendors, as_texts(self.model_path)),
            tuple(known.get(each).id for each in self.scenario) or tuple(each.id for each in known),
            ("", *sets),
            tuple(
                (topology, phone, server)
                for topology in self.topology
                for phone in self.phone or [""]
                for server in self.server or [""]
            ),
            tuple(range(self.seed, self.seed + self.repeat)),
            as_texts(self.model_path),
            self.vary,
        )


@dataclass
class Written:
    """What is written, where."""

    out: Annotated[Path | None, typer.Option(help="Folder for traces and captures, and for --resume.")] = None
    traces: KeptTraces = "failed"
    resume: Resume = False
    json_file: Annotated[Path | None, typer.Option("--json", help="JSON, for `siplab compare`.")] = None
    csv_file: Annotated[Path | None, typer.Option("--csv", help="CSV, a line per cell.")] = None
    html: Annotated[Path | None, typer.Option(metavar="FILE.html", help="A page, for any browser.")] = None


@app.command()
@grouped
def matrix(what: What, written: Written, tables: Tables, world: World = "auto", jobs: Jobs = 1) -> None:
    """Routers by scenarios by remedies: what works, and what nobody knows.

    Exit status: 0 all trials ran (what fails is a result), 1 some are invalid, 2 bad input.
    """
    running.check(resume=written.resume, out=written.out, tables=tables)
    plan = what.plan()
    for topology, phone, server in plan.settings:  # an unknown name is no cell that is not possible
        compatibility.check_setting(topology, phone, server)
    left = compatibility.refused(plan)
    specs = [spec for key, _ in plan.cells() if key not in left for spec in plan.specs(key)]
    places = [path for path in (written.json_file, written.csv_file, written.html) if path is not None]
    if written.out is not None:
        files.prepare(written.out)
    for path in places:
        files.check_writable(path)
    kind, why = running.choose_world(world, world, "")
    errors = console.errors()
    errors.print(Text.assemble(("matrix", "bold"), f": {len(specs)} trials in the {kind} world ({why})"))
    results = running.run_trials(
        specs,
        world=kind,
        jobs=jobs,
        limit=what.trial_timeout,
        share=what.share,
        traces=written.traces,
        out=written.out,
        resume=written.resume,
        trust=False,
        errors=errors,
        tables=tables,
        name="matrix",
    )
    table = compatibility.table(plan, results, left)
    show(table)
    if written.json_file is not None:
        files.write_json(written.json_file, compatibility.as_json(table))
    if written.csv_file is not None:
        files.write_text(written.csv_file, compatibility.as_csv(table))
    if written.html is not None:
        files.write_text(
            written.html,
            book.of_matrix(
                table,
                _first_failures(table, results, plan),
                written.out,
                run=running.simulated(what.trial_timeout),
            ),
        )
    running.end(invalid=any(result.errors for result in results), verdicts=[])


def _first_failures(
    table: Compatibility, results: list[TrialResult], plan: Plan
) -> dict[compatibility.Key, TrialResult]:
    """For each cell that does not work the first of its trials that failed."""
    found, rows = {}, iter(results)
    for each in table.cells:
        some = [next(rows) for _ in range(each.trials)]
        failed = next((one for one in some if one.outcome == "fail"), None)
        if failed is not None:
            found[each.key] = failed
    return found


def show(table: Compatibility) -> None:
    """Print a table for each setting and remedy."""
    output = console.output()
    cells = {each.key: each for each in table.cells}
    for topology, phone, server in table.settings:
        for remedy in table.remedies:
            words = (topology, phone and f"phone {phone}", server and f"server {server}")
            output.print(Text(", ".join(filter(None, (*words, remedy and f"with {remedy}"))), style="bold"))
            rows = []
            for subject in table.subjects:
                row: list[str | Text] = [subject.id]
                for scenario in table.scenarios:
                    cell = cells[compatibility.Key(subject.id, scenario, remedy, topology, phone, server)]
                    row.append(Text(compatibility.word(cell), style=_STYLES.get(cell.status, "dim")))
                rows.append([*row, subject.evidence])
            output.print(console.grid(("", *table.scenarios, "evidence"), rows, output.width))
            output.print()


def load(path: Path) -> Compatibility:
    """A table that --json wrote. Raises ``UsageError``."""
    return compatibility.from_json(stored.plain(path, "table of `siplab matrix --json`"), str(path))
