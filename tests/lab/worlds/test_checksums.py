"""A packet with a wrong UDP checksum: its receiver drops it silently, in both worlds."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.sip.base import Send
from siplab.lab.worlds.base import World
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import LossReason, Lost, Passage, Received, Trace
from tests.lab.worlds import inside
from tests.lab.worlds.players import NETWORKS, PHONE, REGISTRAR, Talker

SCENARIOS = ("register", "outgoing-call", "incoming-call")


def lost(trace: Trace) -> list[Lost]:
    """The packets that were dropped because of their checksum."""
    return [each for each in trace if isinstance(each, Lost) and each.reason is LossReason.WRONG_CHECKSUM]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_what_the_alg_changed_never_arrives(scenario: str) -> None:
    result, trace = runner.run_traced(TrialSpec("home", "udp-checksum-bad", scenario), "simulated")
    assert (result.outcome, result.errors) == ("fail", [])
    changed = [
        emission
        for each in trace
        if isinstance(each, Passage)
        for emission in each.emissions
        if emission.changed
    ]
    assert changed
    assert len(lost(trace)) == len(changed)
    heard = [each for each in trace if isinstance(each, Received)]
    assert not any(b"203.0.113.7" in each.payload for each in heard if each.host == "registrar")


@pytest.mark.parametrize("model", ["correct", "none"])
def test_right_checksums_lose_nothing(model: str) -> None:
    for scenario in SCENARIOS:
        result, trace = runner.run_traced(TrialSpec("home", model, scenario), "simulated")
        assert (result.outcome, lost(trace)) == ("pass", [])


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_kernel_drops_the_same_packets(scenario: str) -> None:
    spec = TrialSpec("home", "udp-checksum-bad", scenario)
    simulated, in_process = runner.run_traced(spec, "simulated")
    emulated, over_kernel = runner.run_traced(spec, "emulated")
    assert (emulated.outcome, emulated.errors) == (simulated.outcome, [])
    assert over_kernel.to_json_lines() == in_process.to_json_lines()


# -- closed ports and fragments --------------------------------------------------------------------


class Told(NamedTuple):
    """The results of one message, as plain data."""

    heard: int
    unreachable: int
    lost: int
    problems: list[str]
    trace: str


def told(size: int, listening: bool, emulated: bool, model: str = "udp-checksum-bad") -> Told:
    """The phone sends the registrar a message of ``size`` bytes."""
    network = NETWORKS["home"]
    models = dict.fromkeys(network.topology.gateways, catalogue.load(plugins=False).get(model))
    world: World = inside.lab().trial(models, 0) if emulated else SimulatedWorld(network, models, 0)
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    world.add("phone", phone)
    if listening:
        world.add("registrar", registrar)
    head = (
        b"OPTIONS sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP %b;branch=z9hG4bK1\r\nSubject: "
        % str(PHONE).encode()
    )
    end = b"\r\nContent-Length: 0\r\n\r\n"
    world.perform(phone, [Send(PHONE, REGISTRAR, head + b"x" * (size - len(head) - len(end)) + end)])
    world.idle(0.1)
    problems = world.close()
    return Told(
        len(registrar.heard),
        len(phone.unreachable),
        len(lost(world.trace)),
        problems,
        world.trace.to_json_lines(),
    )


CASES = [(size, listening) for size in (300, 3000) for listening in (True, False)]


@pytest.mark.parametrize(("size", "listening"), CASES)
def test_nobody_is_told(size: int, listening: bool) -> None:
    """Not even if the port is closed, since the checksum is tested first."""
    assert told(size, listening, False)[:4] == (0, 0, 1, [])
    assert told(size, listening, False, "correct")[:4] == (int(listening), int(not listening), 0, [])


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(("size", "listening"), CASES)
def test_the_kernel_tells_nobody(size: int, listening: bool, bubble: Bubble) -> None:
    for model in ("udp-checksum-bad", "correct"):
        assert bubble.call(told, size, listening, True, model) == told(size, listening, False, model)
