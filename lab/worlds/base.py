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

from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.sip.base import Action, Agent, Close, Flow, Listen, PassOn, Send, SendSegment
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.flows import FlowKeeper
from siplab.lab.worlds.impairments import Departure, impairments_of
from siplab.lab.worlds.network import Arrival, Delivery, Network, SegmentDelivery, destination_of
from siplab.lab.worlds.trace import Likewise, Lost, Noted, Received, Remark, Segment, Sent, Trace

# An agent that sends to itself in circles must not hang a trial.
MAX_STEPS = 2_000_000


class WorldError(Exception):
    """The world could not do what was asked: the trial is invalid, its text says why."""


def make_gateways(network: Network, models: Mapping[str, Model], seed: object) -> dict[str, Gateway]:
    """A gateway for each NAT router of the topology; those without a model get none of ``models``.

    Raises ``KeyError`` when a gateway has no model.
    """
    topology = network.topology
    gateways: dict[str, Gateway] = {}
    for name, router in topology.gateways.items():
        # Translation is IPv4's affair; a gateway with IPv6 alone is a firewall.
        outside, public_ip = min(router.outside.items(), key=lambda row: ":" in row[1])
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

    def __init__(self, network: Network, seed: object = None) -> None:
        self.network = network
        self.impairments = impairments_of(network, seed)
        self.trace = Trace()
        self.now = 0.0
        self.gateways: dict[str, Gateway] = {}
        self._agents: list[tuple[str, Agent]] = []
        self._sockets: dict[Endpoint, tuple[str, Agent]] = {}
        self._ports: dict[Endpoint, tuple[str, Agent]] = {}  # for TCP
        self._arrivals: deque[Arrival] = deque()
        self._flows = FlowKeeper()
        self._told: dict[Agent, int] = {}  # how many of its events the trace has

    # -- what a trial uses ---------------------------------------------------------------------

    @property
    def agents(self) -> list[Agent]:
        """The agents, in the order in which they were added."""
        return [agent for _, agent in self._agents]

    def add(self, host: str, agent: Agent) -> None:
        """Put an agent on a host and start it."""
        self._agents.append((host, agent))
        self.perform(agent, agent.start(self.now))

    def remove(self, agent: Agent) -> None:
        """Take an agent away at once, as when somebody pulls the plug: nothing is sent any more."""
        self._agents = [(host, each) for host, each in self._agents if each is not agent]
        for local in [local for local, (_, each) in self._sockets.items() if each is agent]:
            del self._sockets[local]
            self.close_socket(local)
        for local in [local for local, (_, each) in self._ports.items() if each is agent]:
            del self._ports[local]
            self.close_port(local)
        self._flows.event += 1

    def reboot(self, gateway: str) -> None:
        """A router loses everything that it knows: bindings, pinholes, what its ALG remembers."""
        self.remark(gateway, "rebooted", "all bindings are lost")
        self.gateways[gateway].reboot()
        self._flows.event += 1

    def perform(self, agent: Agent, actions: list[Action]) -> None:
        """Carry out what an agent asked for, once the trace has what it noticed."""
        told = self._told.get(agent, 0)
        if len(agent.events) > told:
            self._tell(agent, told)
        for action in actions:
            if type(action) is PassOn:
                before = len(self._arrivals)
                self._send(agent, action)
                self._flows.passed(action.local, action.remote, list(self._arrivals)[before:])
                continue
            self._flows.event += 1
            if type(action) is Send:
                self._send(agent, action)
            elif type(action) is SendSegment:
                self._send_segment(agent, action)
            elif type(action) is Listen:
                self._listen(agent, action)
            elif type(action) is Close and action.local in self._sockets:
                del self._sockets[action.local]
                self.close_socket(action.local)

    def _tell(self, agent: Agent, told: int) -> None:
        host = next((host for host, each in self._agents if each is agent), "")
        for event in agent.events[told:]:
            self.trace.add(Noted(event.now, host, event.kind, event.detail, event.facts))
        self._told[agent] = len(agent.events)

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Let things happen until ``done`` or for ``timeout`` seconds; says whether it was done."""
        deadline = self.now + timeout
        for _ in range(MAX_STEPS):
            if self._arrivals:
                self._dispatch(self._arrivals.popleft())
                continue
            if self.impairments is not None and (departure := self.impairments.pop(self.now)) is not None:
                self._arrivals.extend(departure())
                continue
            if done():
                return True
            when = self._next_timer()
            flow = self._flows.next(self._agents)
            if flow is not None and (when is None or flow[3] < when) and flow[3] <= deadline:
                self._play(*flow, deadline if when is None else min(when, deadline))
                continue
            if when is None or when > deadline:
                self.now = deadline
                return done()
            self.now = max(self.now, when)
            self._flows.event += 1
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
        for endpoint in list(self._ports):
            self.close_port(endpoint)
        self._ports.clear()
        return []

    # -- what a world implements -----------------------------------------------------------------

    @abc.abstractmethod
    def transmit(self, host: str, send: Send) -> list[Arrival]:
        """Carry one datagram, and all that it causes in the network, to its end."""

    @abc.abstractmethod
    def depart(self, gateway: str, pieces: list[bytes]) -> list[Arrival]:
        """Put on the wire what was held at a gateway, and carry it to its end."""

    @abc.abstractmethod
    def open_socket(self, host: str, local: Endpoint) -> None:
        """Open a UDP port. Raises ``WorldError`` when that fails."""

    @abc.abstractmethod
    def close_socket(self, local: Endpoint) -> None:
        """Close a UDP port."""

    @abc.abstractmethod
    def transmit_segment(self, host: str, packet: bytes) -> list[Arrival]:
        """The same for an IP packet with a TCP segment."""

    @abc.abstractmethod
    def open_port(self, host: str, local: Endpoint) -> None:
        """Open a port for an agent's TCP. Raises ``WorldError`` when that fails."""

    @abc.abstractmethod
    def close_port(self, local: Endpoint) -> None:
        """Close a port of an agent's TCP."""

    # -- the loop ----------------------------------------------------------------------------------

    def _listen(self, agent: Agent, action: Listen) -> None:
        local = action.local
        host = self.network.addresses.get(local.ip)
        if host is None:
            raise WorldError(f"no host has the address {local.ip}")
        if local in (self._ports if action.transport == "tcp" else self._sockets):
            raise WorldError(f"{local} is already in use")
        if action.transport == "tcp":
            self.open_port(host, local)
            self._ports[local] = (host, agent)
            return
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
        if self.impairments is not None:
            packet = ip.udp(action.local, action.remote, action.payload, ttl=action.ttl, dont_fragment=False)
            if self._launch(host, action.remote.ip, packet, lambda: self._send_late(host, action)):
                return
        self._arrivals.extend(self.transmit(host, action))

    def _send_segment(self, agent: Agent, action: SendSegment) -> None:
        place = self._ports.get(action.local)
        if place is None:
            raise WorldError(f"{type(agent).__name__} sends from {action.local}, where it has no TCP")
        host, packet = place[0], action.packet
        refusal = self.network.refusal(action.local, action.remote, 0)
        if refusal:
            self.remark(host, "not-sent", f"from {action.local} to {action.remote}: {refusal}")
            return
        self.trace.add(Segment(self.now, host, True, packet))
        if self.impairments is not None and self._launch(
            host,
            action.remote.ip,
            packet,
            # A port that was closed meanwhile takes what it held along.
            lambda: self.transmit_segment(host, packet) if action.local in self._ports else [],
        ):
            return
        self._arrivals.extend(self.transmit_segment(host, packet))

    def _play(self, host: str, agent: Agent, flow: Flow, due: float, until: float) -> None:
        """Carry a flow's next packet, or pass over a stretch that shares the fate of the latest."""
        self.now = max(self.now, due)
        if self.impairments is None and until > self.now:
            skipped = self._flows.skip(flow, lambda: self._horizon(until), self._onward)
            if skipped is not None:
                train, deliveries = skipped
                last = train.begin + (train.packets - 1) * train.interval
                assert flow.remote is not None
                self.trace.add(
                    Likewise(self.now, host, flow.local, flow.remote, train.packets, round(last, 6))
                )
                for delivery in deliveries:
                    receiver, agent = self._sockets[delivery.local]
                    link = agent.onward(delivery.source, delivery.local)
                    if link is not None:
                        self.trace.add(Likewise(self.now, receiver, *link, train.packets, round(last, 6)))
                    agent.receive_train(train, delivery.source, delivery.local)
                return
        remote = flow.remote
        assert remote is not None
        before = len(self._arrivals)
        self._send(agent, Send(flow.local, remote, flow.take()))
        self._flows.carried(flow, remote, list(self._arrivals)[before:])

    def _onward(self, delivery: Delivery) -> tuple[Endpoint, Endpoint] | None:
        place = self._sockets.get(delivery.local)
        return place[1].onward(delivery.source, delivery.local) if place is not None else None

    def _horizon(self, until: float) -> float:
        """Until when nothing happens by itself: ``until``, or when a gateway forgets something."""
        return min([until, *(gateway.next_end(self.now) for gateway in self.gateways.values())])

    def _send_late(self, host: str, action: Send) -> list[Arrival]:
        # A port that was closed meanwhile takes what it held along.
        return self.transmit(host, action) if action.local in self._sockets else []

    def held(self, gateway: str, pieces: list[bytes]) -> bool:
        """Whether what leaves a gateway as ``pieces`` waits, or gets lost."""
        return self.impairments is not None and self._launch(
            gateway, destination_of(pieces[0]), pieces[0], lambda: self.depart(gateway, pieces)
        )

    def _launch(self, node: str, destination: str, packet: bytes, departure: Departure) -> bool:
        """Hold what leaves a node as impaired networks have it; False when there is none on its way."""
        assert self.impairments is not None
        fate = self.impairments.fate(node, destination)
        if fate is None:
            return False
        for name in fate.lost_on:
            self.lost(node, packet, f"lost on the network '{name}'")
        for delay in fate.delays:
            self.impairments.hold(self.now + delay, departure)
        return True

    def _dispatch(self, arrival: Arrival) -> None:
        if isinstance(arrival, SegmentDelivery):
            there = self._ports.get(arrival.local)
            if there is not None:
                self.trace.add(Segment(self.now, there[0], False, arrival.packet))
                self.perform(there[1], there[1].receive_segment(arrival.packet, self.now))
            return
        place = self._sockets.get(arrival.local)
        if place is None:
            return  # closed while the datagram was under way
        host, agent = place
        if isinstance(arrival, Delivery):
            self.trace.add(Received(self.now, host, arrival.local, arrival.source, arrival.payload))
            self.perform(agent, agent.receive(arrival.payload, arrival.source, arrival.local, self.now))
        else:
            self.trace.add(Remark(self.now, host, "unreachable", f"{arrival.remote} from {arrival.local}"))
            self.perform(agent, agent.on_quote(arrival.remote, arrival.local, arrival.quote, self.now))

    def _next_timer(self) -> float | None:
        nearest: float | None = None
        for _, agent in self._agents:
            when = agent.next_timer()
            if when is not None and (nearest is None or when < nearest):
                nearest = when
        if self.impairments is not None:
            due = self.impairments.next_due
            if due is not None and (nearest is None or due < nearest):
                nearest = due
        return nearest

    def _fire(self) -> None:
        for _, agent in self._agents:
            when = agent.next_timer()
            if when is not None and when <= self.now:
                self.perform(agent, agent.on_timer(self.now))

    # -- for both carriers ---------------------------------------------------------------------------

    def listening(self, endpoint: Endpoint) -> bool:
        return endpoint in self._sockets

    def listening_tcp(self, endpoint: Endpoint) -> bool:
        return endpoint in self._ports

    def lost(self, node: str, packet: bytes, reason: str) -> None:
        self.trace.add(Lost(self.now, node, packet, reason))
