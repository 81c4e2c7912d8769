"""``siplab exec --web``: a program in a lab of its own that has a live page."""

from __future__ import annotations

import os
import signal

from siplab.experiments.commands import reaching
from siplab.experiments.commands.options import Beside, Lab, as_model, as_texts
from siplab.experiments.commands.up import DESK, page
from siplab.experiments.interactive import line
from siplab.experiments.interactive.desk import SOCKET, Plan
from siplab.experiments.output import console
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated import containers


def execute(
    host: str,
    command: tuple[str, ...],
    lab: Lab,
    beside: Beside,
    also: tuple[tuple[str, str], ...],
    image: str,
) -> int:
    """Run it; gives its exit status. ``also``: hosts and command lines of others. Raises ``UsageError``."""
    if lab.gateway == "kernel":
        raise UsageError(
            "--web shows messages as they pass, and puts other models in: --gateway kernel can do neither"
        )
    plan = Plan(
        lab.topology,
        as_model(lab.model) or "none",
        agents=tuple(beside.with_),
        model_paths=as_texts(beside.model_path),
        also=also,
        pcap=beside.pcap,
        trace=beside.trace,
    )
    needed = bool(image or trial.network(lab.topology).topology.images)
    runner.choose_world("emulated")
    name = f"exec-{os.getpid()}"
    with line.listen(name) as door:
        try:
            with containers.bubble(DESK, needed=needed, descriptors={SOCKET: door.fileno()}) as bubble:
                bubble.connection.send(plan)
                complaint = bubble.connection.recv()
                if complaint is not None:
                    raise UsageError(complaint)
                with page(plan, name):
                    status = reaching.execute(host, command, name, image)
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is nobody's any more
                with line.Caller(name) as caller:
                    caller.ask("down")
                for each in bubble.connection.recv():
                    console.say(each)
                return status
        finally:
            line.path_of(name).unlink(missing_ok=True)
