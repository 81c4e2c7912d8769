"""``siplab demo``: the first thing to try, on any system."""

import typer

from siplab.experiments.commands import call, run
from siplab.experiments.commands.options import World

app = typer.Typer(add_completion=False)


@app.command()
def demo(world: World = "auto") -> None:
    """Six routers, three situations, two remedies: what an ALG does to a phone.

    It is `siplab run quickstart`, and then `siplab call --model semicolon-loss --scenario register`.
    """
    run.play("quickstart", run.Settings(world=world))
    print()
    call.play(call.Trial(model="semicolon-loss", scenario="register"), world)
