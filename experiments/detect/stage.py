"""The stage for a live network, on which a detection server plays the server's part."""

from __future__ import annotations

import random
from collections.abc import Callable

from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.probing.anti_amplification import Visitor
from siplab.lab.probing.probe import ProbeClient
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.sip.base import Agent
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.live_network import PHONE, LiveNetworkWorld


class DetectionWorld(LiveNetworkWorld):
    """A live network. Each client must return the server's cookie before the server talks to it."""

    def __init__(self, own: str, server: str, limit: float) -> None:
        super().__init__(own, server, limit)
        self._control = Endpoint(server, CONTROL_PORT)
        self.visitors: list[Visitor] = []

    def add(self, host: str, agent: Agent) -> None:
        if host == PHONE:
            self.visitors.append(Visitor(agent, self._control))
            super().add(host, self.visitors[-1])

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """The same, but ends when the server refuses a client."""
        return super().run_until(lambda: done() or self.refused_any, timeout) and done()

    @property
    def refused_any(self) -> bool:
        return any(each.refused for each in self.visitors)


class LiveStage(Stage):
    """A stage on this machine: the phone uses ``own``, the detection server listens at ``server``."""

    def __init__(self, world: DetectionWorld, own: Endpoint, server: Endpoint) -> None:
        setup = Setup({}, sip_port=server.port, phone={"sip_port": own.port})
        super().__init__(world, setup, random.SystemRandom().getrandbits(64))
        self._visitors = world.visitors

    @property
    def refused(self) -> bool:
        """Whether the detection server did not answer at all."""
        return any(not each.cookie for each in self._visitors)

    @property
    def public(self) -> str:
        """This machine's address as the server sees it; empty if the server did not report it."""
        clients = [each.agent for each in self._visitors if isinstance(each.agent, ProbeClient)]
        seen = [client.observe().public for client in clients]
        return next((str(each) for each in seen if each is not None), "")
