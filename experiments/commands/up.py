"""``siplab up``: a lab that stays, for other commands to use."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Annotated

import typer

from siplab.experiments.commands.options import ModelPath, Seed, as_model, as_texts, grouped, names
from siplab.experiments.interactive import line
from siplab.experiments.interactive.desk import SOCKET, Plan
from siplab.experiments.output import console
from siplab.experiments.trial import assignment, endpoints, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.stage import Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated.bubble import Bubble

app = typer.Typer(add_completion=False)


@dataclass
class People:
    """Who is in it."""

    phone: Annotated[
        str, typer.Option(help="A phone behind the router, and its kind: plain, program:baresip.")
    ] = ""
    far_phone: Annotated[str, typer.Option(help="A phone on the internet, and its kind.")] = ""
    server: Annotated[str, typer.Option(help="The kind of the server.")] = ""
    with_: Annotated[
        list[str], names("--with", metavar="AGENT", help="The lab's server, far-phone or mirror; repeatable.")
    ] = field(default_factory=list)
    model_path: ModelPath = field(default_factory=list)


@app.command()
@grouped
def up(
    topology: Annotated[str, typer.Argument(help="The network.")] = "home",
    model: Annotated[str, typer.Option(help="The router's ALG.")] = "none",
    name: Annotated[str, typer.Option(help="What other commands call this lab.")] = "lab",
    seed: Seed = None,
    *,
    people: People,
) -> None:
    """Build a lab and keep it up, until Ctrl-C or `siplab down`."""
    net = trial.network(topology)
    spec = as_model(model)
    for each in assignment.models_of(spec, net.topology).values():
        trial.models(as_texts(people.model_path)).get(each)
    endpoints.apply(Setup({}), people.phone, people.server, people.far_phone)
    runner.choose_world("emulated")
    plan = Plan(
        topology,
        spec,
        people.phone,
        people.far_phone,
        people.server,
        tuple(people.with_),
        as_texts(people.model_path),
        1 if seed is None else seed,
    )
    with line.listen(name) as door:
        path = line.path_of(name)
        try:
            _keep(plan, name, door.fileno())
        finally:
            path.unlink(missing_ok=True)


def _keep(plan: Plan, name: str, door: int) -> None:
    interrupted = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its end is the same as Ctrl-C's
    with Bubble("siplab.experiments.interactive.desk:task", descriptors={SOCKET: door}) as bubble:
        try:
            bubble.connection.send(plan)
            complaint = bubble.connection.recv()
            if complaint is not None:
                raise UsageError(complaint)
            console.say(
                f"the lab '{name}' is up: siplab status, exec --lab {name}, capture, alg set, age, down"
            )
            problems = bubble.connection.recv()
        except KeyboardInterrupt:
            interrupted.append(True)
            problems = []
        except EOFError:
            problems = ["the lab's process died"]
    for each in problems:
        console.say(each)
    if problems:
        raise typer.Exit(1)
