"""``siplab matrix``: which routers let which calls through, with which remedy."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from siplab.alg_models import vendors as vendor_files
from siplab.experiments.commands import running
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
from siplab.experiments.output import book, compatibility, compatibility_forms, console, files
from siplab.experiments.output.compatibility import Compatibility, Plan
from siplab.experiments.output.compatibility_groups import By
from siplab.experiments.tables import flat
from siplab.experiments.trial import registry
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.watchdog import TRIAL_TIMEOUT
from siplab.lab.plain_data import LARGEST_EXACT

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
    hypotheses: Annotated[
        bool,
        typer.Option("--hypotheses", help="Of vendors nobody knows, run what they may do, each as a router."),
    ] = False
    by: Annotated[
        Literal["class", "vendor", "evidence"] | None,
        typer.Option(
            help="Sum routers up by class of fault, vendor, or evidence, in all but JSON and the page."
        ),
    ] = None
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
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_EXACT, help="The first seed.")] = 1
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
            compatibility.subjects(
                self.models, vendors, as_texts(self.model_path), hypotheses=self.hypotheses
            ),
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
    markdown: Annotated[Path | None, typer.Option(help="Markdown, a table per setting and remedy.")] = None
    latex: Annotated[Path | None, typer.Option(help="LaTeX with booktabs, the same.")] = None
    cells: Annotated[
        Path | None,
        typer.Option(metavar="FILE.parquet", help="Parquet, a row per cell; needs pyarrow."),
    ] = None
    html: Annotated[Path | None, typer.Option(metavar="FILE.html", help="A page, for any browser.")] = None

    def places(self) -> list[Path]:
        """Every file that is to be written, found out to be writable. Raises ``UsageError``."""
        if self.cells is not None:
            flat.need()
        asked = (self.json_file, self.csv_file, self.markdown, self.latex, self.cells, self.html)
        found = [path for path in asked if path is not None]
        for path in found:
            files.check_writable(path)
        return found


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
    if written.out is not None:
        files.prepare(written.out)
    written.places()
    kind, why = running.choose_world(world, world, "")
    errors = console.errors()
    many = console.number_of(len(specs), "trial")
    errors.print(Text.assemble(("matrix", "bold"), f": {many} in the {kind} world ({why})"))
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
    show(table, what.by)
    if written.json_file is not None:
        files.write_json(written.json_file, compatibility.as_json(table))
    if written.csv_file is not None:
        files.write_text(written.csv_file, compatibility_forms.as_csv(table, what.by))
    if written.markdown is not None:
        files.write_text(written.markdown, compatibility_forms.as_markdown(table, what.by))
    if written.latex is not None:
        files.write_text(written.latex, compatibility_forms.as_latex(table, what.by))
    if written.cells is not None:
        flat.write(written.cells, compatibility_forms.rows(table, what.by))
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


def show(table: Compatibility, by: By | None = None) -> None:
    """Print a table for each setting and remedy; ``by``: of groups of routers."""
    output = console.output()
    styles = {compatibility.word(each): _STYLES.get(each.status, "dim") for each in table.cells}
    for block in compatibility_forms.blocks(table, by):
        output.print(Text(block.title, style="bold"))
        rows: list[list[str | Text]] = [
            [row[0], *(Text(cell, style="" if by else styles.get(cell, "")) for cell in row[1:])]
            for row in block.rows
        ]
        output.print(console.grid(("", *block.heads[1:]), rows, output.width))
        output.print()
