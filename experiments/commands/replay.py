"""`siplab replay`: a capture through a router with any model: what would come out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from siplab.experiments import captures
from siplab.experiments.commands.options import ModelPath, as_texts
from siplab.experiments.diagnosis.replaying import replayed
from siplab.experiments.output import console, files, pcapng
from siplab.experiments.trial.run import models
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.wire.ip import is_address
from siplab.lab.worlds.pair import PUBLIC_IP

app = typer.Typer(add_completion=False)


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(metavar="CAPTURE", help="A capture made behind a router.")],
    model: Annotated[str, typer.Option(help="The ALG: an id, or the id of a vendor's card.", metavar="ID")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.pcapng", help="What comes out.")],
    public: Annotated[str, typer.Option(help="The router's outside address.", metavar="IP")] = PUBLIC_IP,
    model_path: ModelPath = [],  # noqa: B006
) -> None:
    """A capture through a router with any model: what would come out.

    Its interfaces are `inside` and `outside`; comments say what was changed. Needs
    `pip install 'siplab[captures]'`.
    """
    if not is_address(public) or ":" in public:
        raise UsageError(f"--public: '{public}' is not an IPv4 address")
    chosen = models(as_texts(model_path)).get(model)
    files.check_writable(out)
    capture = captures.read(path)
    rows = list(replayed(capture, chosen, public_ip=public))
    pcapng.write_packets(rows, out)
    changed = sum(row.comment == "changed by the ALG" for row in rows)
    console.say(f"{out}: {number_of(len(rows), 'packet')}, {changed} of them changed by '{chosen.id}'")
    for line in capture.lines():
        console.say(line)
