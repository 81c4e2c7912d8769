"""A network for tests: virtual time, agents side by side, a filter on every datagram.

``Net`` carries each ``Send`` to the agent that listens at its destination, at once and in order. A
filter may drop a datagram, change it, or give it another source (a NAT). ``log`` has the datagrams that were
sent, before the filter; ``delivered`` has those that arrived.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest

from siplab.lab.phone.phone import Phone, PhoneConfig
from siplab.lab.server.server import ServerConfig, SipServer
from siplab.lab.sip.base import Action, Agent, Close, Flow, Listen, Send
from siplab.lab.sip.events import Facts
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

SERVER = Endpoint("198.51.100.10", 5060)


@dataclass(frozen=True)
class Datagram:
    """One datagram, and the time when it was sent, in seconds."""

    at: float
    source: Endpoint
    destination: Endpoint
    payload: bytes

    @property
    def message(self) -> SipMessage:
        return SipMessage.parse(self.payload)

    @property
    def is_sip(self) -> bool:
        return self.message.is_sip

    @property
    def label(self) -> str:
        """``INVITE`` for a request, ``200 INVITE`` for a response, ``RTP`` for the rest."""
        message = self.message
        if not message.is_sip:
            return "RTP"
        method = message.method.decode()
        return f"{message.status} {method}" if message.is_response else method

    def with_(self, old: bytes, new: bytes) -> Datagram:
        assert old in self.payload, f"{old!r} is not in {self.payload!r}"
        return replace(self, payload=self.payload.replace(old, new, 1))


Filter = Callable[[Datagram], Datagram | None]


@dataclass
class Net:
    """The network and its clock."""

    now: float = 0.0
    filters: list[Filter] = field(default_factory=list)
    log: list[Datagram] = field(default_factory=list)
    delivered: list[Datagram] = field(default_factory=list)
    agents: list[Agent] = field(default_factory=list)
    ports: dict[Endpoint, Agent] = field(default_factory=dict)

    def add(self, agent: Agent) -> None:
        self.agents.append(agent)
        self.do(agent, agent.start(self.now))

    def do(self, agent: Agent, actions: Iterable[Action]) -> None:
        """Carry out an agent's actions and everything that follows at this moment."""
        queue: deque[tuple[Agent, Action]] = deque((agent, action) for action in actions)
        while queue:
            actor, action = queue.popleft()
            if isinstance(action, Listen):
                self.ports[action.local] = actor
            elif isinstance(action, Close):
                del self.ports[action.local]
            else:
                assert isinstance(action, Send), "this network has no TCP"
                queue.extend(self._carry(actor, action))

    def _carry(self, actor: Agent, send: Send) -> list[tuple[Agent, Action]]:
        assert self.ports.get(send.local) is actor, "an agent may send from its own ports only"
        datagram: Datagram | None = Datagram(self.now, send.local, send.remote, send.payload)
        assert datagram is not None
        self.log.append(datagram)
        for each in self.filters:
            datagram = each(datagram)
            if datagram is None:
                return []
        self.delivered.append(datagram)
        receiver = self.ports.get(datagram.destination)
        if receiver is None:
            return []
        actions = receiver.receive(datagram.payload, datagram.source, datagram.destination, self.now)
        return [(receiver, action) for action in actions]

    def inject(self, payload: bytes, source: Endpoint, destination: Endpoint) -> None:
        """Deliver a datagram that no agent sent."""
        agent = self.ports[destination]
        self.do(agent, agent.receive(payload, source, destination, self.now))

    def run(self, until: float) -> None:
        """Let time pass up to and including ``until``."""
        for _ in range(20_000):
            flows = [(each.next_due, agent, each) for agent in self.agents for each in agent.flows]
            due: list[tuple[float, Agent, Flow | None]] = [
                (when, agent, None) for agent in self.agents if (when := agent.next_timer()) is not None
            ]
            due += [(when, agent, flow) for when, agent, flow in flows if when is not None]
            when, agent, flow = min(due, key=lambda row: row[0], default=(None, None, None))
            if agent is None or when is None or when > until:
                self.now = until
                return
            self.now = max(self.now, when)
            if flow is None:
                self.do(agent, agent.on_timer(self.now))
            else:
                assert flow.remote is not None
                self.do(agent, [Send(flow.local, flow.remote, flow.take())])
        raise AssertionError("timers without end")

    def labels(self) -> list[str]:
        """The labels of the datagrams that were sent, without RTP."""
        return [each.label for each in self.log if each.is_sip]

    def sent(self, label: str) -> list[Datagram]:
        return [each for each in self.log if each.label == label]

    def times(self, label: str, source: Endpoint | None = None) -> list[float]:
        return [each.at for each in self.sent(label) if source in (None, each.source)]


@dataclass
class Lab:
    """Alice and Bob, both of lab.test, and their server."""

    net: Net
    server: SipServer
    alice: Phone
    bob: Phone

    def register(self) -> None:
        for phone in (self.alice, self.bob):
            self.net.do(phone, phone.register(self.net.now))

    def call(self, target: str = "bob@lab.test") -> None:
        self.net.do(self.alice, self.alice.call(target, self.net.now))

    def hang_up(self, phone: Phone) -> None:
        self.net.do(phone, phone.hang_up(self.net.now))

    def kinds(self, agent: Agent) -> list[str]:
        return [event.kind for event in agent.events]

    def details(self, agent: Agent, kind: str) -> list[str]:
        return [event.detail for event in agent.events if event.kind == kind]

    def facts(self, agent: Agent, kind: str) -> list[Facts]:
        return [event.facts for event in agent.events if event.kind == kind]


def phone_config(user: str, ip: str, changes: dict[str, object]) -> PhoneConfig:
    config = PhoneConfig(
        user=user, domain="lab.test", password=f"{user}-secret", ip=ip, server=SERVER, media_packets=5
    )
    return replace(config, **changes)  # type: ignore[arg-type]


def make_lab(
    *,
    seed: int = 1,
    alice: dict[str, object] | None = None,
    bob: dict[str, object] | None = None,
    server: dict[str, object] | None = None,
) -> Lab:
    net = Net()
    config = ServerConfig(
        domain="lab.test", users={"alice": "alice-secret", "bob": "bob-secret"}, ip=SERVER.ip
    )
    lab = Lab(
        net,
        SipServer(replace(config, **(server or {})), random.Random(seed)),  # type: ignore[arg-type]
        Phone(phone_config("alice", "203.0.113.7", alice or {}), random.Random(seed + 1)),
        Phone(phone_config("bob", "192.0.2.66", bob or {}), random.Random(seed + 2)),
    )
    for agent in (lab.server, lab.alice, lab.bob):
        net.add(agent)
    return lab


LabMaker = Callable[..., Lab]


@pytest.fixture
def new_lab() -> LabMaker:
    """Make a lab; settings of each agent as keyword dictionaries."""
    return make_lab


@pytest.fixture
def lab() -> Lab:
    """A lab in which both phones are registered; the log is empty."""
    made = make_lab()
    made.register()
    made.net.log.clear()
    made.net.delivered.clear()
    return made


@pytest.fixture
def net() -> Net:
    return Net()
