"""Mininet's own command line on a running lab: ``phone ifconfig``, ``nodes``, ``py phone.cmd('ls')``.

The hosts and routers of a lab are Mininet's nodes already. Its command line waits for each command, and
somebody has to serve the router's queue meanwhile: so it runs in a process of its own.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from siplab.lab.worlds.emulated.fabric import Fabric


class MininetShell:
    """A started command line, with as much of ``subprocess.Popen`` as is needed to wait for it."""

    def __init__(self, fabric: Fabric) -> None:
        self.returncode: int | None = None
        self.args = ("mininet",)
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            with suppress(SystemExit):
                signal.signal(signal.SIGINT, signal.default_int_handler)
                _talk(fabric)
                status = 0
            os._exit(status)

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def net_of(fabric: Fabric) -> Any:
    """Mininet's view of a running network: its nodes with their addresses. Nothing is built for it."""
    from mininet.net import Mininet

    net = Mininet.__new__(Mininet)
    net.hosts, net.switches, net.controllers, net.links = list(fabric.nodes.values()), [], [], []
    net.nameToNode = dict(fabric.nodes)
    for (name, segment), device in fabric.interfaces.items():
        known = fabric.nodes[name].nameToIntf.get(device)
        if known is not None:
            known.ip = fabric.network.node_addresses[name][segment]
    return net


def _talk(fabric: Fabric) -> None:
    from mininet.cli import CLI

    CLI(net_of(fabric))
