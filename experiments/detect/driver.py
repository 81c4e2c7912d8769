"""Sans-IO agents on a real machine: their UDP sockets, the wall clock, one loop.

It stands where a world stands in trials: a ``Stage`` over it lets the lab's detectors run unchanged.
"""

from __future__ import annotations

import random
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any, Final, cast

from siplab.experiments.detect import sockets
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.probing.anti_amplification import Visitor
from siplab.lab.probing.probe import ProbeClient
from siplab.lab.probing.reflector import CONTROL_PORT
from siplab.lab.sip.base import Action, Agent, Close, Listen, Send
from siplab.lab.wire.ip import MAX_PACKET, Endpoint
from siplab.lab.worlds.base import World

_PHONE: Final = "phone"
_BATCH: Final = 64


class Driver:
    """Runs agents until something is so, or time is over. ``now`` is in seconds since it was made.

    ``problems``: one line for each thing that could not be done.
    """

    def __init__(self, deadline: float) -> None:
        self._began = time.monotonic()
        self._deadline = deadline
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[Endpoint, tuple[socket.socket, Agent]] = {}
        self._agents: list[Agent] = []
        self.problems: list[str] = []

    @property
    def now(self) -> float:
        return time.monotonic() - self._began

    @property
    def agents(self) -> list[Agent]:
        return self._agents

    def add(self, host: str, agent: Agent) -> None:
        """Start an agent here; one for another host is there already. Raises ``UsageError``."""
        if host == _PHONE:
            self._agents.append(agent)
            self.perform(agent, agent.start(self.now))

    def perform(self, agent: Agent, actions: list[Action]) -> None:
        """Carry out what an agent wants."""
        for action in actions:
            if isinstance(action, Listen):
                if action.local not in self._sockets:
                    sock = sockets.open_udp(action.local)
                    self._sockets[action.local] = (sock, agent)
                    self._selector.register(sock, selectors.EVENT_READ, action.local)
            elif isinstance(action, Close):
                self._close(action.local)
            elif isinstance(action, Send):
                self._send(action)

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Serve the agents; says whether it came to that in time."""
        end = min(self.now + timeout, self._deadline)
        while not done():
            now = self.now
            if now >= end:
                return False
            dues = [due for agent in self._agents if (due := agent.next_timer()) is not None]
            for key, _ in self._selector.select(max(0.0, min([end, *dues]) - now)):
                self._read(key.data)
            for agent in self._agents:
                due = agent.next_timer()
                if due is not None and due <= self.now:
                    self.perform(agent, agent.on_timer(self.now))
        return True

    def idle(self, seconds: float) -> None:
        """Let time go by."""
        self.run_until(lambda: False, seconds)

    def close(self) -> None:
        """Close every socket."""
        for local in list(self._sockets):
            self._close(local)
        self._selector.close()

    def _close(self, local: Endpoint) -> None:
        sock, _ = self._sockets.pop(local)
        self._selector.unregister(sock)
        sock.close()

    def _read(self, local: Endpoint) -> None:
        for _ in range(_BATCH):
            if local not in self._sockets:
                return
            sock, agent = self._sockets[local]
            try:
                payload, address = sock.recvfrom(MAX_PACKET)
            except BlockingIOError:
                return
            except OSError:  # some systems report an ICMP error here; silence tells the agents the same
                continue
            source = Endpoint(address[0], address[1])
            self.perform(agent, agent.receive(payload, source, local, self.now))

    def _send(self, send: Send) -> None:
        sock, _ = self._sockets[send.local]
        try:
            sock.sendto(send.payload, (send.remote.ip, send.remote.port))
        except OSError as error:
            self.problems.append(f"nothing can be sent to {send.remote}: {error.strerror}")


class RealStage(Stage):
    """A stage on this machine, whose server is somewhere on the network.

    ``own`` is the endpoint of the phone's part, ``server`` where the detection server listens. ``on_event``
    is told of progress.
    """

    def __init__(self, driver: Driver, own: Endpoint, server: Endpoint) -> None:
        seed = random.SystemRandom().getrandbits(64)
        setup = Setup({}, sip_port=server.port, phone={"sip_port": own.port})
        super().__init__(cast(World, _Guarded(driver, server.ip)), setup, seed)
        self._own, self._server = own, server
        self.driver = driver

    def host(self, role: str) -> tuple[str, str]:
        """This machine for the phone, the detection server for any other."""
        return (_PHONE, self._own.ip) if role == "phone" else (role, self._server.ip)

    def has(self, role: str) -> bool:
        return role in ("phone", "server")

    @property
    def _visitors(self) -> list[Visitor]:
        return [each for each in self.driver.agents if isinstance(each, Visitor)]

    @property
    def refused(self) -> bool:
        """Whether the detection server did not even greet."""
        return any(not each.cookie for each in self._visitors)

    @property
    def public(self) -> str:
        """This machine as the server sees it, as far as it said so."""
        clients = [each.agent for each in self._visitors if isinstance(each.agent, ProbeClient)]
        seen = [client.observe().public for client in clients]
        return next((str(each) for each in seen if each is not None), "")


class _Guarded:
    """The driver with the detection server's door in front of each client."""

    def __init__(self, driver: Driver, server: str) -> None:
        self._driver = driver
        self._control = Endpoint(server, CONTROL_PORT)

    def add(self, host: str, agent: Agent) -> None:
        self._driver.add(host, Visitor(agent, self._control))

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """As the driver does, but no longer than anybody is there."""

        def over() -> bool:
            return done() or any(isinstance(each, Visitor) and each.refused for each in self._driver.agents)

        return self._driver.run_until(over, timeout) and done()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._driver, name)


__all__ = ["Driver", "RealStage"]
