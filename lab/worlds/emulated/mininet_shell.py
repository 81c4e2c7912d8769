"""Mininet's own command line on a running lab: ``phone ifconfig``, ``nodes``, ``py phone.cmd('ls')``.

The hosts and routers of a lab are Mininet's nodes already. Mininet's command line blocks while a command
runs, and the router's queue must be served meanwhile. So the command line runs in a process of its own.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Any

from siplab.lab.worlds.emulated.fabric import Fabric


class MininetShell:
    """A running command line, with the parts of ``subprocess.Popen`` that are needed to wait for it."""

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
    """A Mininet object for a running network, with its nodes and addresses. Nothing new is built."""
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
