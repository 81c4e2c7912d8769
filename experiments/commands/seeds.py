"""``siplab seeds``: how many seeds a claim needs."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from siplab.experiments.output import console
from siplab.experiments.trial import rates
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError

app = typer.Typer(add_completion=False)
_RATES: Final = (0.5, 0.8, 0.9, 0.95, 1.0)
_WIDTHS: Final = (0.4, 0.3, 0.2, 0.1, 0.05)

Share = Annotated[float, typer.Option(min=0, max=1)]


@app.command()
def seeds(
    rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="The share of trials that you expect to work.")
    ] = None,
    width: Annotated[
        float | None, typer.Option(min=0.001, max=1, help="How wide its interval of 95 % may be.")
    ] = None,
    against: Annotated[
        float | None, typer.Option(min=0, max=1, help="Another share, that it has to be told apart from.")
    ] = None,
) -> None:
    """How many seeds a claim needs.

    From the width of Wilson's interval of 95 %; without options: a table. The trials are taken as independent
    of each other: vary them (--vary).
    """
    output = console.output()
    if rate is None:
        if width is not None or against is not None:
            raise UsageError("--width and --against need --rate: the share that you expect")
        rows = [
            [f"{each:g}", *(str(rates.trials_for_width(each, wide)) for wide in _WIDTHS)] for each in _RATES
        ]
        output.print(
            "Seeds that each cell needs (--repeat), by the share that works and the interval's width:"
        )
        output.print(console.grid(("share", *(f"width {each:g}" for each in _WIDTHS)), rows, output.width))
        return
    if (width is None) == (against is None):
        raise UsageError("with --rate, name one of --width and --against")
    if width is not None:
        count = rates.trials_for_width(rate, width)
        what = f"an interval no wider than {width:g} around {rate:g}"
    elif against is not None:
        if against == rate:
            raise UsageError("--rate and --against are the same: no number of seeds tells them apart")
        count = rates.trials_to_tell_apart(rate, against)
        what = f"intervals around {rate:g} and {against:g} that do not overlap"
    least = "more than " if count >= rates.MOST else ""
    output.print(f"{least}{number_of(count, 'seed')}: {what} (--repeat {count})")
