"""``siplab exec``: any program on a host of a lab."""

from __future__ import annotations

import shlex
import signal
from typing import Annotated

import typer

from siplab.alg_models import profiles
from siplab.experiments.commands import reaching, running, watched
from siplab.experiments.commands.foreground import Program
from siplab.experiments.commands.options import Beside, Lab, as_model, as_texts, default_model, grouped
from siplab.experiments.output import console, files
from siplab.experiments.programs import agents
from siplab.experiments.trial import assignment, runner
from siplab.experiments.trial import run as trial
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated import containers, kernel
from siplab.lab.worlds.emulated.bubble import how_it_ended

app = typer.Typer(add_completion=False)
Host = Annotated[str, typer.Argument(help="A host or router of the topology.")]


@app.command(context_settings={"ignore_unknown_options": True})
@grouped
def execute(
    host: Host,
    lab: Lab,
    beside: Beside,
    command: Annotated[
        list[str] | None, typer.Argument(metavar="-- CMD...", help="The program and its arguments.")
    ] = None,
    up: Annotated[str, typer.Option("--lab", help="A lab that is up, in the place of one of its own.")] = "",
    image: Annotated[
        str,
        typer.Option(help="Run it in a container of this image; without a command, the image's own."),
    ] = "",
    web: Annotated[
        bool, typer.Option("--web", help="Serve a live page of the lab meanwhile, at the loopback address.")
    ] = False,
) -> None:
    """Run any program on a host of a running lab; its exit status is siplab's."""
    words = tuple(command or ())
    if not words and not image:
        raise UsageError("name a program to run, behind '--', or a container --image")
    if up:
        if web:
            raise UsageError("--web is for a lab of its own: siplab up --web has a page already")
        if (lab, beside) != (Lab(), Beside()):
            raise UsageError("--lab names a lab that is up: it has its topology, model and agents already")
        raise typer.Exit(reaching.execute(host, words, up, image))
    if web:
        others = _others(host, lab, beside)
        raise typer.Exit(watched.execute(host, words, lab, beside, others, image))
    in_foreground(host, words, lab, beside, image=image)


def in_foreground(
    host: str,
    command: tuple[str, ...],
    lab: Lab,
    beside: Beside,
    *,
    mininet: bool = False,
    image: str = "",
) -> None:
    """Run it with this terminal; ends with its exit status. Raises ``UsageError``."""
    others = _others(host, lab, beside)
    net = trial.network(lab.topology)
    model = as_model(lab.model) or default_model(lab.gateway) or "none"
    models = assignment.models_of(model, net.topology).values()
    if lab.gateway == "kernel":
        kernel.check_network(net)
        for each in models:
            kernel.check_model(each)
    known = trial.models(as_texts(beside.model_path))
    agents.check(beside.with_, "--with")
    running.say_notes(profiles.note(known.get(each)) for each in models)
    runner.choose_world("emulated")
    if lab.gateway == "kernel":
        runner.require_kernel("emulated")
    program = Program(
        lab.topology,
        model,
        host,
        command,
        as_texts(beside.model_path),
        others,
        tuple(beside.with_),
        beside.pcap,
        beside.trace,
        gateway=lab.gateway,
        mininet=mininet,
        image=image,
    )
    # Ctrl-C belongs to the program. A handler, not SIG_IGN: that would be inherited.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    task = "siplab.experiments.commands.foreground:execute"
    needed = bool(image or net.topology.images)
    with containers.bubble(task, needed=needed, attached=True) as bubble:
        bubble.connection.send(program)
        status = bubble.wait()
    if status < 0:
        console.say(f"the lab was ended by {how_it_ended(status)}, and the program with it")
        status = 128 - status  # as a shell says it
    raise typer.Exit(status)


def _others(host: str, lab: Lab, beside: Beside) -> tuple[tuple[str, str], ...]:
    """Hosts and command lines of --also. Raises ``UsageError``, for ``host`` and outputs too."""
    others = []
    for each in beside.also:
        where, equals, line = each.partition("=")
        if not equals or not line.strip():
            raise UsageError(f"--also '{each}' is not written HOST=COMMAND")
        try:
            shlex.split(line)
        except ValueError as error:
            raise UsageError(f"--also '{each}': {error}") from None
        others.append((where.strip(), line))
    known = trial.network(lab.topology).node_addresses
    for each in (host, *(where for where, _ in others)):
        if each not in known:
            raise UsageError(f"no host '{each}' in topology '{lab.topology}'; there are {', '.join(known)}")
    for path in (beside.pcap, beside.trace):
        if path is not None:
            files.check_writable(path)
    return tuple(others)
