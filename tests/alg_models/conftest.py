"""A router with a model, and messages through it as payloads."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from siplab.alg_models.controls import CORRECT
from siplab.alg_models.samples.basic import REGISTER, REGISTER_OK
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint

PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
PUBLIC_IP, FIRST_PORT = "203.0.113.7", 61002


class Line:
    """A phone's flow to its server through a router; public ports are 61002 and up."""

    def __init__(self, model: Model, *, phone: Endpoint = PHONE, preserve: bool = False) -> None:
        allocation = PortAllocation.PRESERVE if preserve else PortAllocation.SEQUENTIAL
        self.gateway = Gateway(
            model,
            public_ip=PUBLIC_IP,
            inside_networks=["192.168.1.0/24", "2001:db8:1::/64"],
            nat=NatConfig(port_allocation=allocation, first_port=FIRST_PORT),
            rng=random.Random(0),
        )
        self.phone = phone
        self.public = Endpoint(PUBLIC_IP, 0)
        self.now = 0.0

    def out(self, message: bytes, phone: Endpoint | None = None) -> bytes:
        """What the server receives when the phone (or another one) sends ``message``."""
        packet = ip.udp(phone or self.phone, SERVER, message)
        (emission,) = self.gateway.handle(packet, Side.INSIDE, self.now)
        assert (emission.side, emission.error) == (Side.OUTSIDE, ""), emission.fate
        left = ip.parse(emission.packet)
        if phone is None:
            self.public = left.source
        return left.payload

    def back(self, message: bytes, to: Endpoint | None = None) -> bytes:
        """What the phone receives when the server sends ``message`` to its public endpoint."""
        packet = ip.udp(SERVER, to or self.public, message)
        (emission,) = self.gateway.handle(packet, Side.OUTSIDE, self.now)
        assert (emission.side, emission.error) == (Side.INSIDE, ""), emission.fate
        return ip.parse(emission.packet).payload


LineMaker = Callable[..., Line]


@pytest.fixture(scope="session")
def new_line() -> LineMaker:
    """Make a line through the correct ALG, or through ``model``."""

    def make(model: Model = CORRECT, *, phone: Endpoint = PHONE, preserve: bool = False) -> Line:
        return Line(model, phone=phone, preserve=preserve)

    return make


@pytest.fixture
def registered(line: Line) -> Line:
    """The module's own ``line``, after the phone has registered through it."""
    line.out(REGISTER)
    line.back(REGISTER_OK)
    return line
