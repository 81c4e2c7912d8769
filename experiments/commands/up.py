"""``siplab up``: a lab that stays, for other commands to use."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from siplab.experiments.commands.options import ModelPath, Seed, as_model, as_texts, grouped, names
from siplab.experiments.interactive import line, web
from siplab.experiments.interactive.desk import GUARDIAN, SOCKET, Plan
from siplab.experiments.output import console
from siplab.experiments.programs import agents
from siplab.experiments.trial import assignment, endpoints, runner
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.stage import Setup
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated import containers
from siplab.lab.worlds.emulated.guardian import Guardian

DESK: Final = "siplab.experiments.interactive.desk:task"
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
        list[str],
        names(
            "--with",
            metavar="AGENT",
            help="The lab's server, far-phone or mirror, or program:coturn; repeatable.",
        ),
    ] = field(default_factory=list)
    model_path: ModelPath = field(default_factory=list)
    web: Annotated[
        bool, typer.Option("--web", help="Serve a live page of it, at this machine's loopback address.")
    ] = False
    containers: Annotated[
        bool, typer.Option("--containers", help="Let `siplab exec --image` put containers in, later.")
    ] = False
    attach: Annotated[
        str,
        typer.Option(
            metavar="IFACE", help="Lend the lab a network card of this machine, with a real telephone."
        ),
    ] = ""
    attach_to: Annotated[
        str | None, typer.Option("--to", help="The network that the card joins; lan if none is named.")
    ] = None
    yes: Annotated[bool, typer.Option("--yes", help="Lend the card without being asked.")] = False


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
    kinds = people.phone, people.server, people.far_phone
    endpoints.apply(Setup({}), *endpoints.with_images(net.topology, *kinds))
    runner.require_programs(zip(("phone", "server", "far-phone"), kinds, strict=True))
    agents.check(people.with_, "--with")
    if people.attach_to is not None and not people.attach:
        raise UsageError("--to needs --attach IFACE: the card that joins that network")
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
        (people.attach_to or "lan") if people.attach else "",
    )
    if people.attach and os.getuid() != 0:
        raise UsageError("--attach moves a network card of this machine: only root may")
    with line.listen(name) as door:
        path = line.path_of(name)
        try:
            with _lent(people.attach, yes=people.yes) as guardian:
                needed = people.containers or bool(net.topology.images)
                _keep(plan, name, door.fileno(), guardian, needed=needed, web_page=people.web)
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _lent(interface: str, *, yes: bool) -> Iterator[Guardian | None]:
    """A card that somebody lends; it is back, as it was, when this ends."""
    if not interface:
        yield None
        return
    guardian = Guardian(interface)
    try:
        if not yes:
            typer.confirm(f"{guardian.card.told()}. Go on?", abort=True, err=True)
        yield guardian
    finally:
        guardian.close()
        console.say(f"{interface} is back")


def _keep(
    plan: Plan, name: str, door: int, guardian: Guardian | None, *, needed: bool, web_page: bool
) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its end is the same as Ctrl-C's
    descriptors = {SOCKET: door}
    if guardian is not None:
        descriptors[GUARDIAN] = guardian.channel.fileno()
    with containers.bubble(DESK, needed=needed, descriptors=descriptors) as bubble:
        if guardian is not None:
            guardian.channel.close()  # the bubble's from now on: its end is to give the card back
        try:
            bubble.connection.send(plan)
            complaint = bubble.connection.recv()
            if complaint is not None:
                raise UsageError(complaint)
            if guardian is not None:
                console.say(f"{guardian.card.told()}: it is on network '{plan.attach_to}'")
            console.say(
                f"the lab '{name}' is up: siplab status, exec --lab {name}, capture, alg set, age, down"
            )
            with page(plan, name) if web_page else nullcontext():
                problems = bubble.connection.recv()
        except KeyboardInterrupt:
            problems = []
        except EOFError:
            problems = ["the lab's process died"]
    for each in problems:
        console.say(each)
    if problems:
        raise typer.Exit(1)


@contextmanager
def page(plan: Plan, name: str) -> Iterator[None]:
    """Serve the live page of a lab that is up, and say where. Raises ``UsageError``."""
    known = trial.models(plan.model_paths)
    with web.served(name, [model.id for model in known.runnable()]) as address:
        console.say(f"its page: {address}")
        yield
