"""RFC 4475's torture messages through every model, both ways, over UDP and TCP."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, gateway_for
from siplab.alg_models.samples.basic import REGISTER
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.wire import ip
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import ACK, PSH, SYN, Endpoint

DATA = Path(__file__).parents[1] / "data" / "rfc4475"
MESSAGES = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.dat"))}
CATALOGUE = load(plugins=False)
MODELS = CATALOGUE.runnable()
SEQ, ACKED = 1000, 77000

# A variant has the steps of its model, with other parameters.
PLAIN = [model for model in MODELS if "(" not in model.id]


def always(models: list[Model]) -> pytest.MarkDecorator:
    """Every model as a parameter; those that are not in ``models`` only with ``make test-deep``."""
    return pytest.mark.parametrize(
        "model",
        [pytest.param(each, id=each.id, marks=() if each in models else pytest.mark.deep) for each in MODELS],
    )


def passes_all(model: Model) -> bool:
    return model.id in {"none", "correct"}


each_model = always(PLAIN)
# Reassembly is the router's own work, not the model's.
one_model_in_three = always([*PLAIN[::3], *filter(passes_all, PLAIN)])
each_side = pytest.mark.parametrize("side", [Side.INSIDE, Side.OUTSIDE])


def judge(model: Model, emissions: list[Emission], name: str) -> None:
    """Check what must hold for any output of the router."""
    assert emissions, name
    for each in emissions:
        assert each.error == "", f"{name}: {each.error}"
        assert each.side is not None or each.fate is not Fate.FORWARDED, name
        wrong = ip.verify(each.packet)
        if model.policy.checksum == "stale" and each.changed:
            wrong = [fault for fault in wrong if fault != "udp checksum"]
        assert not wrong, f"{name}: {wrong}"


def onward(emissions: list[Emission], side: Side) -> list[ip.Packet]:
    return [ip.parse(each.packet) for each in emissions if each.side is side.other]


# -- UDP --------------------------------------------------------------------------------------------


def bound(model: Model) -> tuple[Gateway, Endpoint]:
    """A router behind which the phone has registered, and the phone's public endpoint.

    If a model does not forward the REGISTER, this is the endpoint that the phone would have had.
    """
    gateway = gateway_for(model)
    emissions = gateway.handle(ip.udp(PHONE, REGISTRAR, REGISTER), Side.INSIDE, 0.0)
    left = onward(emissions, Side.INSIDE)
    assert left or not passes_all(model)
    return gateway, left[0].source if left else PUBLIC


def across(model: Model, side: Side, message: bytes) -> tuple[Gateway, bytes]:
    """A router, and the message as a packet that arrives at it."""
    if side is Side.INSIDE:
        return gateway_for(model), ip.udp(PHONE, REGISTRAR, message, dont_fragment=False)
    gateway, public = bound(model)
    return gateway, ip.udp(REGISTRAR, public, message, dont_fragment=False)


@each_model
@each_side
def test_each_message_in_a_datagram(model: Model, side: Side) -> None:
    changed = 0
    for name, message in MESSAGES.items():
        gateway, packet = across(model, side, message)
        for now in (1.0, 1.5):  # as a first one, and retransmitted
            emissions = gateway.handle(packet, side, now)
            judge(model, emissions, name)
            left = onward(emissions, side)
            changed += sum(each.changed for each in emissions)
            if passes_all(model):
                assert left, f"{name} did not get through: {emissions[0].fate}"
            if model.id == "none":
                assert [each.payload for each in left] == [message], name
                assert not changed


@each_side
def test_the_correct_alg_leaves_what_names_no_address_of_its_own(side: Side) -> None:
    """No message of the RFC names this phone or this router, so all messages pass byte for byte."""
    model = CATALOGUE.get("correct")
    for name, message in MESSAGES.items():
        gateway, packet = across(model, side, message)
        (left,) = onward(gateway.handle(packet, side, 1.0), side)
        assert left.payload == message, name


@one_model_in_three
@each_side
def test_each_message_in_fragments(model: Model, side: Side) -> None:
    for name, message in MESSAGES.items():
        gateway, packet = across(model, side, message)
        arrived: list[ip.Packet] = []
        for fragment in fragmented(packet, 296, identification=7):
            emissions = gateway.handle(fragment, side, 1.0)
            judge(model, emissions, name)
            arrived += onward(emissions, side)
        if model.policy.fragments == "drop":
            assert arrived == [] or len(packet) <= 296, name
        elif passes_all(model):
            assert arrived, name
        if model.id == "none":
            (whole,) = arrived
            assert whole.payload == message, name


@each_model
def test_all_messages_through_one_router(model: Model) -> None:
    """What the router remembers of one message harms no other, in either direction."""
    gateway, public = bound(model)
    for turn in range(2):
        for now, (name, message) in enumerate(MESSAGES.items(), turn * 60):
            for side in (Side.INSIDE, Side.OUTSIDE):
                ends = (PHONE, REGISTRAR) if side is Side.INSIDE else (REGISTRAR, public)
                emissions = gateway.handle(ip.udp(*ends, message), side, float(now))
                judge(model, emissions, name)
                if model.id == "none":
                    assert [each.payload for each in onward(emissions, side)] == [message], name


# -- TCP --------------------------------------------------------------------------------------------


class Connection:
    """A TCP connection from the phone to the registrar, through a router with a model."""

    def __init__(self, model: Model, name: str) -> None:
        self.model, self.name = model, name
        self.gateway = gateway_for(model)
        syn = self.segment(Side.INSIDE, b"", -1, -ACKED, SYN)
        self.public = onward(syn, Side.INSIDE)[0].source
        assert onward(self.segment(Side.OUTSIDE, b"", -1, 0, SYN | ACK), Side.OUTSIDE)
        assert onward(self.segment(Side.INSIDE, b"", 0, 0, ACK), Side.INSIDE)

    def segment(self, side: Side, data: bytes, seq: int, ack: int, flags: int) -> list[Emission]:
        """One segment; numbers count from the first byte of data."""
        if side is Side.INSIDE:
            packet = ip.tcp(PHONE, REGISTRAR, data, seq=SEQ + seq, ack=ACKED + ack, flags=flags)
        else:
            packet = ip.tcp(REGISTRAR, self.public, data, seq=ACKED + seq, ack=SEQ + ack, flags=flags)
        emissions = self.gateway.handle(packet, side, 1.0)
        judge(self.model, emissions, self.name)
        return emissions

    def send(self, side: Side, message: bytes, cuts: list[int]) -> bytes:
        """The message in as many segments as the cuts make; what arrived of it, joined."""
        arrived = b""
        for start, end in pairwise([0, *cuts, len(message)]):
            emissions = self.segment(side, message[start:end], start, 0, ACK | PSH)
            arrived += b"".join(each.payload for each in onward(emissions, side))
        return arrived


# At the first message over TCP it forgets the connection, so the rest depends on when that happens.
RESTARTS = "alg-restarts(trigger=tcp)"


def cuttings(message: bytes) -> list[list[int]]:
    """Places to cut: none, inside the start line, around the blank line, everywhere."""
    head = message.index(b"\r\n\r\n") + 2
    return [[], [3], [head, head + 1], list(range(97, len(message), 97))]


@one_model_in_three
@each_side
def test_each_message_over_tcp(model: Model, side: Side) -> None:
    for name, message in MESSAGES.items():
        if name == "baddn":
            continue  # its header never ends, so over TCP it is not a message yet
        whole, *cut = [Connection(model, name).send(side, message, places) for places in cuttings(message)]
        if model.id == "none":
            assert [whole, *cut] == [message] * 4, name
        if model.policy.tcp == "stream" and model.id != RESTARTS:
            assert cut == [whole] * 3, f"{name} depends on how it is cut"


def test_the_messages_are_there() -> None:
    assert len(MESSAGES) == 49
    assert {"none", "correct"} <= {model.id for model in MODELS}
