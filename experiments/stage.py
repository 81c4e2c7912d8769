"""What a scenario or detector plays on: the trial's world, its phones and server, its checks.

Agents are made when they are first asked for, so a trial has only those that it needs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

from lab.agents.base import Action, Agent
from lab.agents.mirror import MirrorServer
from lab.agents.phone import Phone, PhoneConfig
from lab.agents.server import ServerConfig, SipServer
from lab.errors import UsageError
from lab.wire.ip import Endpoint
from lab.worlds.base import World

DOMAIN: Final = "lab.test"
PASSWORDS: Final = {"alice": "wonderland", "bob": "builder"}
# A high RTP port, as many phones have: sums of ports then run past 65535.
PHONE_RTP_PORT: Final = 49170
FAR_RTP_PORT: Final = 40000


@dataclass(frozen=True)
class Setup:
    """The settings that a mitigation may change.

    ``models``: the model spec of each gateway. ``sip_port``: the server's port that phones use.
    ``phone``, ``far_phone`` and ``server`` override fields of the agents' configurations.
    """

    models: Mapping[str, str]
    sip_port: int = 5060
    phone: Mapping[str, Any] = field(default_factory=dict)
    far_phone: Mapping[str, Any] = field(default_factory=dict)
    server: Mapping[str, Any] = field(default_factory=dict)

    def with_model(self, spec: str) -> Setup:
        """The same with every gateway's model replaced."""
        return replace(self, models=dict.fromkeys(self.models, spec))


@dataclass(frozen=True)
class Check:
    """One thing that a scenario looks at. ``symptom``: what a user notices when it fails."""

    name: str
    passed: bool
    symptom: str
    detail: str = ""


@dataclass(frozen=True)
class Finding:
    """A detector's answer: ``alg``, ``clean``, ``undecided`` or ``error``, with what it saw changed."""

    verdict: str
    changed: tuple[str, ...] = ()
    detail: str = ""


class Stage:
    """One trial in progress."""

    def __init__(self, world: World, setup: Setup, seed: object) -> None:
        self.world = world
        self.setup = setup
        self.checks: list[Check] = []
        self._seed = seed

    # -- who is there ----------------------------------------------------------------------------

    def host(self, role: str) -> tuple[str, str]:
        """Name and address of the host with that role. Raises ``UsageError`` when there is none."""
        for name, host in self.world.network.topology.hosts.items():
            if host.role == role:
                return name, host.address
        raise UsageError(f"topology '{self.world.network.topology.id}' has no host with role '{role}'")

    def rng(self, who: str) -> random.Random:
        """A generator of its own for each agent, from the trial's seed."""
        return random.Random(f"{self._seed}/{who}")

    @cached_property
    def server(self) -> SipServer:
        """The registrar and proxy."""
        host, address = self.host("server")
        config = ServerConfig(domain=DOMAIN, realm=DOMAIN, users=PASSWORDS, ip=address)
        server = SipServer(replace(config, **self.setup.server), self.rng("server"))
        self.world.add(host, server)
        return server

    @cached_property
    def phone(self) -> Phone:
        """The phone behind the router: alice."""
        return self._phone("phone", "alice", PHONE_RTP_PORT, self.setup.phone)

    @cached_property
    def far_phone(self) -> Phone:
        """The phone on the internet: bob. It sends media back to where media comes from."""
        return self._phone("far-phone", "bob", FAR_RTP_PORT, {"latching": True, **self.setup.far_phone})

    def _phone(self, role: str, user: str, rtp_port: int, changes: Mapping[str, Any]) -> Phone:
        server = self.server  # there before anybody calls it
        host, address = self.host(role)
        config = PhoneConfig(
            user=user,
            domain=DOMAIN,
            password=PASSWORDS[user],
            ip=address,
            server=Endpoint(server.config.ip, self.setup.sip_port),
            rtp_port=rtp_port,
        )
        phone = Phone(replace(config, **changes), self.rng(user))
        self.world.add(host, phone)
        return phone

    def mirror(self) -> Endpoint:
        """Start a mirror server in the registrar's place; returns where it listens."""
        host, address = self.host("server")
        self.world.add(host, MirrorServer(address, sorted({5060, self.setup.sip_port})))
        return Endpoint(address, self.setup.sip_port)

    # -- what happens ----------------------------------------------------------------------------

    def do(self, agent: Agent, command: Callable[[float], list[Action]]) -> None:
        """Have an agent carry out a command now."""
        self.world.perform(agent, command(self.world.now))

    def until(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait for something, ``timeout`` seconds at most; says whether it came."""
        return self.world.run_until(done, timeout)

    def idle(self, seconds: float) -> None:
        """Let time go by."""
        self.world.idle(seconds)

    def check(self, name: str, passed: bool, symptom: str, detail: str = "") -> bool:
        """Record a check; gives ``passed`` back."""
        self.checks.append(Check(name, passed, symptom, detail))
        return passed
