"""A model is put into the router while a real call is up: what each side hears follows it."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

import pytest

from siplab.experiments.trial import endpoints, registry, worker
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.stage import Setup
from siplab.lab.worlds.emulated import bubble
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.emulated.live import LiveWorld

BARESIP = "program:baresip"
PART = 2.5  # seconds of each part of the call; the first one of each is left out


def held_call(connection: Connection) -> None:
    """Task of a bubble: a call, a hold and its end, under ``none``, a fault, ``none``; who heard how much."""
    bubble.serve(connection, lambda fault: _held_call(fault))


def _held_call(fault: str) -> list[tuple[int, int]]:
    labs = worker.EmulatedLabs()
    network = trial.network("home")
    known = trial.models()
    world = labs.live(network, {"router": known.get("none")}, 1)
    assert isinstance(world, LiveWorld)
    setup = endpoints.apply(Setup({"router": "none"}), BARESIP, "program:kamailio(nat=true)", BARESIP)
    stage: Any = registry.program_stage()(world, setup, 1)
    heard = []
    try:
        phone, far = stage.phone, stage.far_phone
        stage.do(far, far.register)
        stage.do(phone, phone.register)
        stage.do(phone, lambda now: phone.call("bob@lab.test", now))
        call = phone.calls[-1]
        assert stage.until(lambda: call.established_at is not None, 8.0), call.reason

        def part() -> None:
            stage.idle(1.0)
            begin = stage.now
            stage.idle(PART - 1.0)
            heard.append((far.ear.heard.between(begin, stage.now), phone.ear.heard.between(begin, stage.now)))

        def hold(how: str) -> None:
            status: list[int] = []
            stage.do(phone, lambda now: phone.hold(call, how, now, lambda code, at: status.append(code)))
            stage.until(lambda: bool(status), 5.0)
            assert status == [200]

        part()
        hold("sendonly")
        world.swap("router", known.get(fault))
        hold("")
        part()
        hold("sendonly")
        world.swap("router", known.get("none"))
        hold("")
        part()
    finally:
        stage.finish()
        world.close()
    return heard


@pytest.mark.needs("emulated", "kamailio", "baresip", "rtpengine")
def test_what_each_side_hears_follows_the_model() -> None:
    with Bubble("tests.experiments.programs.test_swap:held_call") as made:
        before, during, after = made.call("port-overflow(mode=sum)")
    least = 0.5 * 50 * (PART - 1.0)
    assert min(before) > least
    assert min(after) > least
    assert during[1] == 0  # the port that the phone announces is no port: nothing reaches it
