"""``siplab status``, ``capture``, ``alg``, ``age`` and ``down``: what can be asked of a lab that is up."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from siplab.experiments.commands.options import AsJson, as_model
from siplab.experiments.interactive.line import Caller
from siplab.experiments.output import console
from siplab.experiments.programs import hosted
from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated import containers

Lab = Annotated[str, typer.Option("--lab", help="Which, where several are up.")]


def status(lab: Lab = "", as_json: AsJson = False) -> None:
    """What is in a lab that is up: hosts, models, bindings, programs."""
    with Caller(lab) as caller:
        row = caller.ask("status")
    if as_json:
        console.print_json(row)
        return
    output = console.output()
    models = ", ".join(f"{name} has {model}" for name, model in row["models"].items())
    console.print_exact(f"topology {row['topology']}, up for {row['seconds']:g} s; {models}", output)
    console.print_exact("hosts: " + ", ".join(f"{name} {ip}" for name, ip in row["hosts"].items()), output)
    console.print_exact("taps: " + ", ".join(row["taps"]), output)
    for each in row["bindings"]:
        ends = f"{each['inside']} as {each['outside']}"
        console.print_exact(
            f"binding at {each['gateway']}: {each['protocol']} {ends}, {each['seconds']:g} s left", output
        )
    for host, state in row["containers"].items():
        console.print_exact(f"container on {host}: {state}", output)
    for each in row["programs"]:
        console.print_exact(f"program on {each}", output)


def capture(
    tap: Annotated[str, typer.Argument(help="router/inside, router/outside, or a host.")], lab: Lab = ""
) -> None:
    """Write the packets at a tap of a lab that is up to standard output.

    For a pipe: siplab capture router/outside | wireshark -k -i -
    """
    if sys.stdout.isatty():
        raise UsageError(
            "a capture is nothing for a terminal: siplab capture router/outside | wireshark -k -i -"
        )
    with Caller(lab) as caller:
        caller.tell("capture", [sys.stdout.fileno()], tap=tap)
        # Only the lab writes there from now on: the reader's end is the capture's.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        lost = caller.answer()
    if lost:
        console.say(f"{number_of(lost, 'packet')} missing: the reader was too slow")


def alg(
    what: Annotated[Literal["set", "off"], typer.Argument(help="set MODEL, or off.")],
    model: Annotated[str, typer.Argument(help="The model: ID, ID(parameter=value), GATEWAY=ID.")] = "",
    flows: Annotated[
        Literal["all", "new"],
        typer.Option(help="What the new model gets: whatever passes, or flows that begin from now on."),
    ] = "all",
    flush: Annotated[bool, typer.Option("--flush", help="The router forgets its bindings, too.")] = False,
    lab: Lab = "",
) -> None:
    """Put another model into the router of a lab that is up, or none.

    Bindings stay, and so do pinholes until their timers run out; the model's memory starts empty.
    """
    if (what == "set") != bool(model):
        raise UsageError("write: siplab alg set MODEL, or: siplab alg off")
    with Caller(lab) as caller:
        chosen = caller.ask("alg", model=as_model(model) if model else "none", flows=flows, flush=flush)
    console.print_exact(", ".join(f"{name} has {spec}" for name, spec in chosen.items()), console.output())


def age(seconds: Annotated[float, typer.Argument(help="By how much.")], lab: Lab = "") -> None:
    """Make what the routers of a lab that is up remember older."""
    with Caller(lab) as caller:
        caller.ask("age", seconds=seconds)


def down(lab: Lab = "") -> None:
    """End a lab that is up."""
    with Caller(lab) as caller:
        caller.ask("down")


def logs(
    host: Annotated[str, typer.Argument(help="A host or router that is a container.")], lab: Lab = ""
) -> None:
    """What a container of a lab that is up has printed."""
    sys.stdout.flush()
    with Caller(lab) as caller, os.fdopen(os.memfd_create("logs"), "r+b") as found:
        caller.ask("logs", [found.fileno()], host=host)
        found.seek(0)
        console.print_exact(found.read().decode("utf-8", "replace").rstrip("\n"), console.output())


def copy(
    source: Annotated[str, typer.Argument(help="A file of this machine, or HOST:/PATH in a container.")],
    target: Annotated[str, typer.Argument(help="A folder of this machine, or HOST:/FOLDER in a container.")],
    lab: Lab = "",
) -> None:
    """Copy files into a container of a lab that is up, or out of it."""
    out, into = _in_container(source), _in_container(target)
    if (out is None) == (into is None):
        raise UsageError("write: siplab copy HOST:/PATH FOLDER, or: siplab copy FILE HOST:/FOLDER")
    with Caller(lab) as caller, os.fdopen(os.memfd_create("archive"), "r+b") as archive:
        if out is not None:
            if not Path(target).is_dir():
                raise UsageError(f"{target} is no folder")
            caller.ask("fetch", [archive.fileno()], host=out[0], path=out[1])
            archive.seek(0)
            hosted.unpack(archive.read(), Path(target))
        elif into is not None:
            archive.write(containers.packed({Path(source).name: Path(source)}))
            archive.seek(0)
            caller.ask("put", [archive.fileno()], host=into[0], folder=into[1])


def _in_container(place: str) -> tuple[str, str] | None:
    host, colon, path = place.partition(":")
    return (host, path) if colon and "/" not in host and path.startswith("/") else None


def execute(host: str, command: tuple[str, ...], lab: str, image: str = "") -> int:
    """Run a program in a lab that is up, with this terminal; gives its exit status. Raises ``UsageError``."""
    with Caller(lab) as caller:

        def pass_on(number: int, frame: Any) -> None:
            caller.tell("signal", number=number)

        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, pass_on)
        caller.tell(
            "exec",
            [0, 1, 2],
            host=host,
            command=list(command),
            image=image,
            directory=str(Path.cwd()),
            environment={"TERM": os.environ.get("TERM", "dumb"), "PATH": os.environ.get("PATH", os.defpath)},
        )
        while True:
            answer = caller.answer()
            if isinstance(answer, int):
                return answer
