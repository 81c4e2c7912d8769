"""A router for tests: it checks every packet that it emits, and its methods return short results."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from siplab.alg_models.controls import CORRECT, NONE
from siplab.lab.gateway.alg import Card, Context, Model, Policy, Recipe, Step
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint, Packet
from siplab.lab.wire.sip import SipMessage

PUBLIC_IP = "203.0.113.7"
ROUTER_IP = "192.168.1.1"


class Router:
    """A gateway between 192.168.1.0/24 (and 2001:db8:1::/64) and the world."""

    def __init__(self, model: Model, *, seed: int = 0, mtu: int = 1500, **nat: Any) -> None:
        self.gateway = Gateway(
            model,
            public_ip=PUBLIC_IP,
            inside_networks=["192.168.1.0/24", "2001:db8:1::/64"],
            inside_addresses=[ROUTER_IP, "2001:db8:1::1"],
            nat=NatConfig(**nat),
            rng=random.Random(seed),
            mtu=mtu,
        )
        self.now = 0.0

    def handle(self, packet: bytes, side: Side) -> list[Emission]:
        """The emissions for a packet. Packets that leave must have right lengths and checksums."""
        emissions = self.gateway.handle(packet, side, self.now)
        assert emissions, "an answer is due for every packet"
        for each in emissions:
            if each.side is None:
                assert each.fate not in (Fate.FORWARDED, Fate.HAIRPINNED), "what ends here needs a reason"
            else:
                assert ip.verify(each.packet) == []
        return emissions

    def one(self, packet: bytes, side: Side) -> Emission:
        """The emission for a packet that must have exactly one."""
        (emission,) = self.handle(packet, side)
        return emission

    def crossed(self, packet: bytes, side: Side) -> Packet:
        """The packet as it leaves on the other side."""
        emission = self.one(packet, side)
        assert emission.side is side.other, emission.fate
        assert not emission.originated
        assert emission.packet[8] == packet[8], "the gateway does not touch the TTL"
        return ip.parse(emission.packet)

    def end(self, packet: bytes, side: Side) -> tuple[Fate, str]:
        """The fate of a packet that does not leave, with the detail."""
        emission = self.one(packet, side)
        assert emission.side is None
        return emission.fate, emission.detail

    def fate(self, packet: bytes, side: Side) -> Fate:
        """The fate of a packet that does not leave."""
        return self.end(packet, side)[0]

    def send(self, source: Endpoint, destination: Endpoint, payload: bytes = b"out") -> Packet:
        """Send a datagram from an inside host; returns it as it leaves."""
        return self.crossed(ip.udp(source, destination, payload), Side.INSIDE)

    def receive(self, source: Endpoint, port: int, payload: bytes = b"in") -> Packet | None:
        """Send a datagram to a public port; returns it as it reaches the inside, or ``None``."""
        packet = ip.udp(source, Endpoint(PUBLIC_IP, port), payload)
        emission = self.one(packet, Side.OUTSIDE)
        if emission.side is None:
            return None
        assert emission.side is Side.INSIDE
        return ip.parse(emission.packet)


RouterMaker = Callable[..., Router]


def model_of(*steps: Step, policy: Policy | None = None) -> Model:
    """An ALG of these steps."""
    changes = {} if policy is None else {each.name: getattr(policy, each.name) for each in fields(policy)}
    return Model("test", Card("for this test"), Recipe(last=steps, policy=changes))


ModelMaker = Callable[..., Model]


class Do:
    """A step that is a function."""

    def __init__(self, action: Callable[[SipMessage, Context], object]) -> None:
        self.action = action

    def apply(self, message: SipMessage, context: Context) -> None:
        self.action(message, context)


@pytest.fixture(scope="session")
def new_router() -> RouterMaker:
    """Make a router without an ALG, or with ``model``; the rest are NAT settings."""

    def make(model: Model = NONE, **settings: Any) -> Router:
        return Router(model, **settings)

    return make


@pytest.fixture(scope="session")
def correct_router(new_router: RouterMaker) -> Callable[..., Router]:
    """Make a router with the correct ALG."""

    def make(**settings: Any) -> Router:
        return new_router(CORRECT, **settings)

    return make


@pytest.fixture(scope="session")
def acting_model() -> Callable[..., Model]:
    """Make an ALG that does what a function does."""

    def make(action: Callable[[SipMessage, Context], object], policy: Policy | None = None) -> Model:
        return model_of(Do(action), policy=policy)

    return make
