"""`siplab calibrate`: the model `linux` beside the running kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.text import Text

from siplab.experiments.calibration import comparison
from siplab.experiments.calibration.comparison import Difference, Report
from siplab.experiments.calibration.outcome import Left
from siplab.experiments.output import files
from siplab.experiments.output.changes import LinePair, aligned
from siplab.experiments.output.console import output
from siplab.experiments.trial import run as trial
from siplab.lab.errors import CapabilityError
from siplab.lab.worlds.emulated import capability, kernel

_TOPOLOGY: Final = "home"  # whose addresses the corpus has


app = typer.Typer(add_completion=False)


@app.command()
def calibrate(
    messages: Annotated[int, typer.Option(min=1, help="Send at least that many datagrams.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the corpus.")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything to this file.")] = None,
) -> None:
    """Compare this kernel's SIP ALG with its model.

    Both get the same messages.
    """
    obstacle = capability.kernel_obstacle()
    if obstacle is not None:
        raise CapabilityError(f"no kernel to compare with: {obstacle}")
    if json_file is not None:
        files.check_writable(json_file)
    model = trial.models().get(kernel.WITH_ALG)
    report = comparison.run(model, trial.network(_TOPOLOGY), seed=seed, datagrams=messages)
    if json_file is not None:
        files.write_json(json_file, report.as_json())
    _print(report, output())
    if not report.enough:
        raise typer.Exit(1)


def _print(report: Report, console: Console) -> None:
    settings = ", ".join(f"{name}={value}" for name, value in report.parameters.items())
    console.print(f"corpus  {report.datagrams} datagrams in {report.cases} cases, seed {report.seed}")
    console.print(f"kernel  {report.kernel}" + (f" ({settings})" if settings else ""))
    console.print(f"        changed {report.changed} datagrams, dropped {report.dropped}")
    agreed = report.datagrams - len(report.differences)
    console.print(
        f"model   {report.model} agrees on {agreed} of {report.datagrams}: "
        f"{100 * report.agreement:.2f} % (wanted {100 * comparison.TARGET:g} %)"
    )
    for kind, found in report.kinds().items():
        console.print(Text(f"\n{len(found)} x {kind}, for example", "bold"))
        _print_example(found[0], console)


def _print_example(example: Difference, console: Console) -> None:
    sent = example.sent
    way = "out" if sent.outbound else "in"
    console.print(
        f"  case {example.case} ({example.case_kind}), datagram {example.index + 1}, going {way}", style="dim"
    )
    if not example.kernel or not example.model:
        for line in comparison.text(sent.payload).splitlines():
            console.print(f"    {line}", soft_wrap=True)
        return
    _print_lines("sent", "kernel", aligned(sent.payload, example.kernel[0].payload), console)
    _print_lines("model", "kernel", aligned(example.model[0].payload, example.kernel[0].payload), console)
    if _ends(example.model) != _ends(example.kernel):
        console.print(f"    model   {_ends(example.model)}")
        console.print(f"    kernel  {_ends(example.kernel)}")


def _print_lines(one: str, other: str, pairs: list[LinePair], console: Console) -> None:
    for pair in pairs:
        for name, line in ((one, pair.before), (other, pair.after)):
            written = "(no such line)" if line is None else comparison.text(line.text.rstrip(b"\r\n"))
            console.print(f"    {name:<7} {written}", soft_wrap=True)


def _ends(left: list[Left]) -> str:
    return ", ".join(f"{each.source} -> {each.destination}" for each in left)
