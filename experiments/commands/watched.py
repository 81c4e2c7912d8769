"""``siplab exec --web``: a program in a lab of its own that has a live page."""

from __future__ import annotations

import os

from siplab.experiments.commands import reaching
from siplab.experiments.commands.options import Beside, Lab, as_model, as_texts
from siplab.experiments.commands.up import DESK, page
from siplab.experiments.interactive import line
from siplab.experiments.interactive.desk import SOCKET, Plan
from siplab.experiments.trial import run as trial
from siplab.experiments.trial import runner
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated import containers


def execute(host: str, command: tuple[str, ...], lab: Lab, beside: Beside, image: str) -> int:
    """Run it; gives its exit status. Raises ``UsageError``."""
    if lab.gateway != "queue" or beside.also or beside.pcap or beside.trace:
        raise UsageError("--web goes with --topology, --model, --with, --model-path and --image; no others")
    plan = Plan(
        lab.topology,
        as_model(lab.model) or "none",
        agents=tuple(beside.with_),
        model_paths=as_texts(beside.model_path),
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
                    return reaching.execute(host, command, name, image)
        finally:
            line.path_of(name).unlink(missing_ok=True)
