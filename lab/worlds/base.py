"""What both worlds share: agents, the virtual clock, and one loop that conducts them.

The loop carries one datagram at a time to its end (delivered, dropped, or answered by an ICMP
error) before it does anything else; only when nothing is under way does it jump the clock to
the next timer. So idle time costs nothing, and both worlds see everything in the same order.
"""

from __future__ import annotations

import abc
import random
from collections import deque
from collections.abc import Callable, Mapping

from lab.agents.base import Action, Agent, Close, Listen, Send
from lab.gateway.alg import Model
from lab.gateway.gateway import Gateway
from lab.wire.ip import Endpoint
from lab.worlds.network import Arrival, Delivery, Network
from lab.worlds.trace import Lost, Received, Remark, Sent, Trace

# An agent that sends to itself in circles must not hang a trial.
MAX_STEPS = 2_000_000


class WorldError(Exception):
    """The world could not do what was asked: the trial is void, its text says why."""


def make_gateways(network: Network, models: Mapping[str, Model], seed: object) -> dict[str, Gateway]:
    """A gateway for each NAT router of the topology; those without a model get none of ``models``.

    Raises ``KeyError`` when a gateway has no model.
    """
    topology = network.topology
    gateways: dict[str, Gateway] = {}
    for name, router in topology.gateways.items():
        outside, public_ip = next(iter(router.outside.items()))
        gateways[name] = Gateway(
            models[name],
            public_ip=public_ip,
            inside_networks=[topology.networks[each].subnet for each in router.inside],
            inside_addresses=list(router.inside.values()),
            nat=router.nat,
            rng=random.Random(f"{seed}/{name}"),
            mtu=topology.networks[outside].mtu,
        )
    return gateways


class World(abc.ABC):
    """Hosts with agents, joined by a network with gateways, under one virtual clock (seconds)."""

    kind: str

    def __init__(self, network: Network) -> None:
        self.network = network
        self.trace = Trace()
        self.now = 0.0
        self.gateways: dict[str, Gateway] = {}
        self._agents: list[tuple[str, Agent]] = []
        self._sockets: dict[Endpoint, tuple[str, Agent]] = {}
        self._arrivals: deque[Arrival] = deque()

    # -- what a trial uses ---------------------------------------------------------------------

    def add(self, host: str, agent: Agent) -> None:
        """Put an agent on a host and start it."""
        self._agents.append((host, agent))
        self.perform(agent, agent.start(self.now))

    def perform(self, agent: Agent, actions: list[Action]) -> None:
        """Carry out what an agent asked for."""
        for action in actions:
            if type(action) is Send:
                self._send(agent, action)
            elif type(action) is Listen:
                self._listen(agent, action.local)
            elif type(action) is Close and action.local in self._sockets:
                del self._sockets[action.local]
                self.close_socket(action.local)

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Let things happen until ``done`` or for ``timeout`` seconds; says whether it was done."""
        deadline = self.now + timeout
        for _ in range(MAX_STEPS):
            if self._arrivals:
                self._dispatch(self._arrivals.popleft())
                continue
            if done():
                return True
            when = self._next_timer()
            if when is None or when > deadline:
                self.now = deadline
                return done()
            self.now = max(self.now, when)
            self._fire()
        raise WorldError(f"nothing settled within {MAX_STEPS} steps")

    def idle(self, seconds: float) -> None:
        """Let ``seconds`` go by."""
        self.run_until(lambda: False, seconds)

    def remark(self, who: str, kind: str, detail: str) -> None:
        """Note something in the trace."""
        self.trace.add(Remark(self.now, who, kind, detail))

    def close(self) -> list[str]:
        """End the trial; returns what the world itself found wrong (lost packets, full queues)."""
        for endpoint in list(self._sockets):
            self.close_socket(endpoint)
        self._sockets.clear()
        return []

    # -- what a world implements -----------------------------------------------------------------

    @abc.abstractmethod
    def transmit(self, host: str, send: Send) -> list[Arrival]:
        """Carry one datagram, and all that it causes in the network, to its end."""

    @abc.abstractmethod
    def open_socket(self, host: str, local: Endpoint) -> None:
        """Open a UDP port. Raises ``WorldError`` when that fails."""

    @abc.abstractmethod
    def close_socket(self, local: Endpoint) -> None:
        """Close a UDP port."""

    # -- the loop ----------------------------------------------------------------------------------

    def _listen(self, agent: Agent, local: Endpoint) -> None:
        host = self.network.addresses.get(local.ip)
        if host is None:
            raise WorldError(f"no host has the address {local.ip}")
        if local in self._sockets:
            raise WorldError(f"{local} is already in use")
        self.open_socket(host, local)
        self._sockets[local] = (host, agent)

    def _send(self, agent: Agent, action: Send) -> None:
        place = self._sockets.get(action.local)
        if place is None:
            raise WorldError(f"{type(agent).__name__} sends from {action.local}, where it does not listen")
        host = place[0]
        refusal = self.network.refusal(action.local, action.remote, len(action.payload))
        if refusal:
            self.remark(host, "not-sent", f"from {action.local} to {action.remote}: {refusal}")
            return
        self.trace.add(Sent(self.now, host, action.local, action.remote, action.payload))
        self._arrivals.extend(self.transmit(host, action))

    def _dispatch(self, arrival: Arrival) -> None:
        place = self._sockets.get(arrival.local)
        if place is None:
            return  # closed while the datagram was under way
        host, agent = place
        if isinstance(arrival, Delivery):
            self.trace.add(Received(self.now, host, arrival.local, arrival.source, arrival.payload))
            self.perform(agent, agent.receive(arrival.payload, arrival.source, arrival.local, self.now))
        else:
            self.trace.add(Remark(self.now, host, "unreachable", f"{arrival.remote} from {arrival.local}"))
            self.perform(agent, agent.on_unreachable(arrival.remote, arrival.local, self.now))

    def _next_timer(self) -> float | None:
        nearest: float | None = None
        for _, agent in self._agents:
            when = agent.next_timer()
            if when is not None and (nearest is None or when < nearest):
                nearest = when
        return nearest

    def _fire(self) -> None:
        for _, agent in self._agents:
            when = agent.next_timer()
            if when is not None and when <= self.now:
                self.perform(agent, agent.on_timer(self.now))

    # -- for both carriers ---------------------------------------------------------------------------

    def listening(self, endpoint: Endpoint) -> bool:
        return endpoint in self._sockets

    def lost(self, node: str, packet: bytes, reason: str) -> None:
        self.trace.add(Lost(self.now, node, packet, reason))
