"""Worlds whose network the lab makes: what the simulated and the emulated world share.

One loop conducts the agents. It carries one datagram to its end (delivered, dropped, or answered by an ICMP
error) before it does anything else. Only when nothing is under way does it set the clock to the next timer.
So idle time costs nothing, and both worlds see everything in the same order.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable
from functools import partial

from siplab.lab.sip.base import (
    Action,
    Agent,
    Close,
    Flow,
    Listen,
    PassOn,
    Send,
    SendSegment,
    Train,
    Transport,
)
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.base import World, WorldError
from siplab.lab.worlds.flows import FlowKeeper
from siplab.lab.worlds.forwarding import Arrival, Delivery, SegmentDelivery, destination_of
from siplab.lab.worlds.impaired_flows import (
    Arrived,
    Course,
    Impaired,
    ImpairedFlows,
    Link,
    PlayingFlow,
    Stretch,
)
from siplab.lab.worlds.impairments import Departure, impairments_of
from siplab.lab.worlds.network import Network
from siplab.lab.worlds.trace import (
    LossReason,
    Lost,
    Received,
    Segment,
    Sent,
    SkippedPackets,
    WorldEvent,
    lost_on,
)

# The most steps while the clock stands still. An agent that sends to itself endlessly must not hang a trial.
MAX_STEPS = 50_000


def as_packet(send: Send | SendSegment, dscp: int = 0) -> bytes:
    """What an agent sends, as an IP packet. ``dscp`` marks datagrams only, no segments."""
    if isinstance(send, SendSegment):
        return send.packet
    packet = ip.udp(send.local, send.remote, send.payload, ttl=send.ttl, dont_fragment=False)
    return ip.marked(packet, dscp) if dscp else packet


class LabWorld(World):
    """Hosts with agents, joined by a ``Network`` with gateways, under a virtual clock (seconds)."""

    now = 0.0

    def __init__(self, network: Network, seed: object = None) -> None:
        super().__init__()
        self.network = network
        self.impairments = impairments_of(network, seed)
        self._sockets: dict[Transport, dict[Endpoint, tuple[str, Agent]]] = {"udp": {}, "tcp": {}}
        self._arrivals: deque[Arrival] = deque()
        self._flows = FlowKeeper()
        # host -> the DSCP of its agents' datagrams (RFC 2474), where it is not 0
        self.dscp: dict[str, int] = {}
        self._impaired_flows = (
            ImpairedFlows(self.impairments, self._flows) if self.impairments is not None else None
        )
        self._course: Course | None = None  # of the flow packet that is being carried, if its way is noted

    @property
    def place(self) -> str:
        return f"topology '{self.network.topology.id}'"

    def host_of(self, role: str) -> tuple[str, str] | None:
        hosts = self.network.topology.hosts.items()
        return next(((name, host.address) for name, host in hosts if host.role == role), None)

    def mtu_of(self, host: str) -> int:
        return min(self.network.mtu[each] for each in self.network.node_addresses[host])

    def reboot(self, gateway: str) -> None:
        super().reboot(gateway)
        self._flows.event += 1

    def renumber(self, gateway: str) -> None:
        super().renumber(gateway)
        self._flows.event += 1

    def mark(self, host: str, dscp: int) -> None:
        self.dscp[host] = dscp

    def run_until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Run until ``done`` or for ``timeout`` seconds; returns whether it was done."""
        deadline = self.now + timeout
        agenda = self._agenda
        agenda.touch_all()
        steps, moment = 0, self.now
        while steps < MAX_STEPS:
            steps += 1
            if self.now != moment:
                steps, moment = 0, self.now
            if self._arrivals:
                self._dispatch(self._arrivals.popleft())
                continue
            if self.impairments is not None and (departure := self.impairments.pop(self.now)) is not None:
                self._arrivals.extend(departure())
                continue
            if done():
                return True
            timer = agenda.next_timer()
            when = timer if self.impairments is None else self._next_timer()
            flow = agenda.next_flow()
            if flow is not None and (when is None or flow.due < when) and flow.due <= deadline:
                self._play(*flow, deadline)
                continue
            if when is None or when > deadline:
                self.now = deadline
                return done()
            self.now = max(self.now, when)
            if when == timer:
                self._fire()
        raise WorldError(f"nothing settled within {MAX_STEPS} steps")

    def close(self) -> list[str]:
        self._close_ports()
        return []

    # -- what a world implements -----------------------------------------------------------------

    @abc.abstractmethod
    def transmit(self, host: str, send: Send | SendSegment) -> list[Arrival]:
        """Carry one packet, and all packets that it causes in the network, to their ends."""

    @abc.abstractmethod
    def depart(self, gateway: str, pieces: list[bytes]) -> list[Arrival]:
        """Put packets on the wire that were held at a gateway, and carry them to their ends."""

    @abc.abstractmethod
    def open_socket(self, host: str, local: Endpoint, transport: Transport) -> None:
        """Open a port for an agent. Raises ``WorldError`` when that fails."""

    @abc.abstractmethod
    def close_socket(self, local: Endpoint, transport: Transport) -> None:
        """Close a port of an agent."""

    # -- what agents ask for -----------------------------------------------------------------------

    def _carry_out(self, agent: Agent, action: Action) -> None:
        if type(action) is PassOn:
            before = len(self._arrivals)
            self._send(agent, action)
            self._flows.passed(action.local, action.remote, list(self._arrivals)[before:])
            return
        self._flows.event += 1
        self._course = None
        if isinstance(action, Send | SendSegment):
            self._send(agent, action)
        elif isinstance(action, Listen):
            self._listen(agent, action)
        elif isinstance(action, Close) and self._sockets["udp"].pop(action.local, None) is not None:
            self.close_socket(action.local, "udp")

    def _close_ports(self, agent: Agent | None = None) -> None:
        """Close every port of an agent, or every port."""
        for transport, ports in self._sockets.items():
            for local in [local for local, (_, each) in ports.items() if agent in (None, each)]:
                del ports[local]
                self.close_socket(local, transport)
        self._flows.event += 1

    def _listen(self, agent: Agent, action: Listen) -> None:
        local = action.local
        host = self.network.addresses.get(local.ip)
        if host is None:
            raise WorldError(f"no host has the address {local.ip}")
        if local in self._sockets[action.transport]:
            raise WorldError(f"{local} is already in use")
        self.open_socket(host, local, action.transport)
        self._sockets[action.transport][local] = (host, agent)

    def _send(self, agent: Agent, action: Send | SendSegment) -> None:
        ports = self._sockets["tcp" if type(action) is SendSegment else "udp"]
        place = ports.get(action.local)
        if place is None:
            raise WorldError(f"{type(agent).__name__} sends from {action.local}, where it does not listen")
        host = place[0]
        size = 0 if isinstance(action, SendSegment) else len(action.payload)
        refusal = self.network.refusal(action.local, action.remote, size)
        if refusal:
            detail = f"from {action.local} to {action.remote}: {refusal}"
            self.remark(host, WorldEvent.NOT_SENT, detail, action.local, action.remote)
            return
        if isinstance(action, SendSegment):
            self.trace.add(Segment(self.now, host, True, action.packet))
        else:
            self.trace.add(Sent(self.now, host, action.local, action.remote, action.payload))
        if self._course is not None:
            self._course.steps.append(Link(host, action.local, action.remote))
        if self.impairments is not None and self._launch(
            host,
            action.remote.ip,
            as_packet(action, self.dscp.get(host, 0)),
            # When a port is closed, the packets held for it are gone, too.
            lambda: self.transmit(host, action) if action.local in ports else [],
        ):
            return
        self._arrivals.extend(self._noted(self.transmit(host, action)))

    # -- the loop ----------------------------------------------------------------------------------

    def _dispatch(self, arrival: Arrival) -> None:
        if isinstance(arrival, SegmentDelivery):
            there = self._sockets["tcp"].get(arrival.local)
            if there is not None:
                self.trace.add(Segment(self.now, there[0], False, arrival.packet))
                self.perform(there[1], there[1].receive_segment(arrival.packet, self.now))
            return
        place = self._sockets["udp"].get(arrival.local)
        if place is None:
            return  # closed while the datagram was under way
        host, agent = place
        if isinstance(arrival, Delivery):
            self.trace.add(Received(self.now, host, arrival.local, arrival.source, arrival.payload))
            if self._impaired_flows is None:
                self.perform(agent, agent.receive(arrival.payload, arrival.source, arrival.local, self.now))
                return
            course = self._course = self._impaired_flows.reached(arrival)
            self.perform(agent, agent.receive(arrival.payload, arrival.source, arrival.local, self.now))
            self._course = None
            if course is not None:
                self._impaired_flows.heard(course, arrival)
        else:
            detail = f"{arrival.remote} from {arrival.local}"
            self.remark(host, WorldEvent.UNREACHABLE, detail, arrival.local, arrival.remote)
            self.perform(agent, agent.on_quote(arrival.remote, arrival.local, arrival.quote, self.now))

    def _next_timer(self) -> float | None:
        nearest = super()._next_timer()
        due = None if self.impairments is None else self.impairments.next_due
        return due if nearest is None else nearest if due is None else min(nearest, due)

    # -- media ---------------------------------------------------------------------------------------

    def _play(self, host: str, agent: Agent, flow: Flow, due: float, deadline: float) -> None:
        """Carry a flow's next packet, or skip a stretch of which the same becomes as of the latest packet."""
        timer = self._agenda.next_active_timer()
        until = deadline if timer is None else min(timer, deadline)
        self.now = max(self.now, due)
        self._agenda.touched.add(agent)
        if self._impaired_flows is not None:
            self._play_impaired(self._impaired_flows, agent, flow, until)
            return
        if until > self.now:
            skipped = self._flows.skip(flow, lambda: self._horizon(until), self._onward)
            if skipped is not None:
                train, deliveries = skipped
                last = round(train.begin + (train.packets - 1) * train.interval, 6)
                assert flow.remote is not None
                said = ("" if train.encrypted else train.content), train.first
                way = flow.local, flow.remote
                self.trace.add(SkippedPackets(self.now, host, *way, train.packets, last, *said))
                for delivery in deliveries:
                    receiver, hearer = self._sockets["udp"][delivery.local]
                    link = hearer.onward(delivery.source, delivery.local)
                    if link is not None:
                        self.trace.add(SkippedPackets(self.now, receiver, *link, train.packets, last, *said))
                    hearer.receive_train(train, delivery.source, delivery.local)
                    self._agenda.touched.add(hearer)
                return
        remote = flow.remote
        assert remote is not None
        before = len(self._arrivals)
        self._send(agent, Send(flow.local, remote, flow.take()))
        self._flows.carried(flow, remote, list(self._arrivals)[before:])

    def _onward(self, delivery: Delivery) -> tuple[Endpoint, Endpoint] | None:
        place = self._sockets["udp"].get(delivery.local)
        return place[1].onward(delivery.source, delivery.local) if place is not None else None

    def _horizon(self, until: float) -> float:
        """Until when (seconds) nothing happens by itself: ``until``, or when a gateway forgets something."""
        return min([until, *(gateway.next_end(self.now) for gateway in self.gateways.values())])

    # -- impaired networks ---------------------------------------------------------------------------

    def held(self, gateway: str, pieces: list[bytes]) -> bool:
        """Whether the packets ``pieces`` that leave a gateway are delayed or lost."""
        return self.impairments is not None and self._launch(
            gateway, destination_of(pieces[0]), pieces[0], lambda: self.depart(gateway, pieces)
        )

    def _launch(self, node: str, destination: str, packet: bytes, departure: Departure) -> bool:
        """Hold a packet that leaves a node until it is due; False if no impaired network is on its way."""
        assert self.impairments is not None
        fate = self.impairments.fate(node, destination)
        if fate is None:
            return False
        for name in fate.lost_on:
            self.lost(node, packet, LossReason.LINK, lost_on(name))
        if self._course is None:
            for delay in fate.delays:
                self.impairments.hold(self.now + delay, partial(self._go_on, departure))
            return True
        courses = self._course.launched(node, fate)
        for delay, course in zip(fate.delays, courses, strict=True):
            going_on = partial(self._go_on, departure, course)
            self.impairments.hold(self.now + delay, going_on, course.event)
        return True

    def _go_on(self, departure: Departure, course: Course | None = None) -> list[Arrival]:
        """A held packet goes on; ``course`` if it is a flow's packet whose way is noted."""
        if course is None:
            self._flows.event += 1
            return departure()
        self._course = course
        arrivals = self._noted(departure())
        self._course = None
        return arrivals

    def _noted(self, arrivals: list[Arrival]) -> list[Arrival]:
        """Note what became of a packet, if it is a flow's; returns the same arrivals."""
        if self._course is not None and self._impaired_flows is not None:
            self._impaired_flows.came(self._course, arrivals)
        return arrivals

    def _play_impaired(self, flows: ImpairedFlows, agent: Agent, flow: Flow, until: float) -> None:
        """As ``_play``, for impaired networks: here a stretch covers all flows."""
        if self.impairments is not None and until > self.now and flows.is_known(flow):
            held = self.impairments.next_but(self._flows.event)
            horizon = self._horizon(until if held is None else min(until, held))
            playing = (PlayingFlow(*each) for each in self._agenda.playing())
            plan = flows.plan(self.now, horizon, playing, self._onward)
            if plan is not None:
                for each in plan.stretches:
                    self._pass_over(each, self.now + plan.longest, plan.end)
                return
        assert flow.remote is not None
        self._course = flows.begun(flow)
        self._send(agent, Send(flow.local, flow.remote, flow.take()))
        self._course = None
        flows.sent(flow)
        self._agenda.touched.add(agent)  # it was asked for its flows since the line above, so ask it again

    def _pass_over(self, stretch: Stretch, singly_until: float, singly_from: float) -> None:
        """Deliver a stretch; one by one the packets that arrive in the same time as carried ones."""
        self._agenda.touched.add(stretch.playing.agent)
        for record in stretch.records():
            self.trace.add(record)
        is_behind = False  # behind the impaired network
        for step in stretch.way:
            if isinstance(step, Impaired):
                is_behind = True
            elif isinstance(step, Arrived) and (not is_behind or stretch.arrivals is None):
                self._hear(step, stretch.train)
            elif isinstance(step, Arrived):
                for train in stretch.parts(singly_until, singly_from):
                    hearing = partial(self._hear, step, train)
                    assert self.impairments is not None
                    assert train.arrivals is not None
                    self.impairments.hold(train.arrivals.times[0], hearing, self._flows.event)

    def _hear(self, step: Arrived, train: Train) -> list[Arrival]:
        agent = self._sockets["udp"][step.local][1]
        agent.receive_train(train, step.source, step.local)
        self._agenda.touched.add(agent)
        return []

    # -- for every carrier ---------------------------------------------------------------------------

    def listening(self, endpoint: Endpoint, transport: Transport = "udp") -> bool:
        return endpoint in self._sockets[transport]

    def lost(self, node: str, packet: bytes, reason: LossReason, detail: str) -> None:
        self.trace.add(Lost(self.now, node, packet, reason, detail))
