"""``siplab demo``: the first thing to try, on any system."""

import typer

from siplab.experiments.commands import call, run

_WHY = "it runs everywhere"
app = typer.Typer(add_completion=False)


@app.command()
def demo() -> None:
    """Six routers, three situations, two remedies: what an ALG does to which phone.

    In the simulated world: `siplab run quickstart` and `siplab run endpoints`, and then the call
    `siplab call --model semicolon-loss --scenario register`.
    """
    for name in ("quickstart", "endpoints"):
        run.play(name, run.Settings(world="simulated"), why=_WHY)
        print()
    call.play(call.Trial(model="semicolon-loss", scenario="register"), "simulated", why=_WHY)
