"""``siplab shell``: a shell on a host of a lab."""

from typing import Annotated

import typer

from siplab.experiments.commands.execute import Host, in_foreground
from siplab.experiments.commands.options import Beside, Lab, grouped

app = typer.Typer(add_completion=False)


@app.command()
@grouped
def shell(
    lab: Lab,
    beside: Beside,
    host: Host = "phone",
    mininet: Annotated[
        bool, typer.Option("--mininet", help="Mininet's command line, for all hosts and routers.")
    ] = False,
) -> None:
    """Open a shell on a host of a running lab."""
    in_foreground(host, ("bash", "--norc", "--noprofile"), lab, beside, mininet=mininet)
