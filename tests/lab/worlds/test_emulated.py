"""The emulated world: the kernel carries packets as computed (the walk); and how errors are handled."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.trial import runner
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.simulated import SimulatedWorld
from tests.lab.worlds import inside
from tests.lab.worlds.players import EXCHANGES, LAPTOP, NETWORKS, PUBLIC, REGISTRAR, at, play

pytestmark = pytest.mark.needs("emulated")

HOME = NETWORKS["home"]


# -- the kernel and the walk -----------------------------------------------------------------------


@pytest.mark.parametrize("name", EXCHANGES)
def test_the_kernel_does_what_the_walk_says(name: str, bubble: Bubble) -> None:
    """``test_simulated`` checks that the walk itself is right."""
    exchange = EXCHANGES[name]
    network = NETWORKS[exchange.network]
    simulated = play(SimulatedWorld(network, inside.plain(network), 0), exchange)
    assert bubble.call(inside.exchange, name) == simulated


def test_nothing_is_still_under_way_to_an_address_that_nobody_has(bubble: Bubble) -> None:
    """An error that comes seconds later would land in another trial."""
    bubble.call(inside.exchange, "an address that nobody has")
    assert bubble.call(inside.pending_neighbours) == []


@pytest.mark.parametrize("size", [1, 3000])
@pytest.mark.parametrize(("ttl", "arrives"), [(1, False), (2, False), (3, True), (4, True), (255, True)])
def test_ttl(ttl: int, arrives: bool, size: int, bubble: Bubble) -> None:
    """Two routers on the way: TTL 3 is enough."""
    payload = b"x" * size
    simulated = inside.with_ttl(ttl, payload, SimulatedWorld(HOME, inside.plain(HOME), 0))
    assert simulated.heard == ([(PUBLIC, payload)] if arrives else [])
    assert simulated.unreachable == ([] if arrives else [REGISTRAR])
    assert simulated.problems == []
    assert bubble.call(inside.with_ttl, ttl, payload) == simulated


def test_every_exchange_again_on_the_networks_that_are_up(bubble: Bubble) -> None:
    """A lab is used for many trials: nothing of one is left in the next."""
    first = {name: bubble.call(inside.exchange, name).trace for name in EXCHANGES}
    assert {name: bubble.call(inside.exchange, name).trace for name in reversed(EXCHANGES)} == first


# -- models that misbehave ---------------------------------------------------------------------------

_MODEL = """
from dataclasses import dataclass
from siplab.lab.gateway.alg import Card, Model, Recipe

@dataclass(frozen=True)
class Misbehave:
    def apply(self, message, context):
        {body}

MODEL = Model("misbehaves", Card("{body}"), Recipe(last=(Misbehave(),)))
"""


def _trial(folder: Path, body: str, scenario: str, world: str) -> tuple[str, list[str], str]:
    path = folder / "model.py"
    path.write_text(_MODEL.format(body=body), encoding="utf-8")
    spec = TrialSpec("home", "misbehaves", scenario, model_paths=(str(path),))
    result, trace = runner.run_traced(spec, world)
    return result.outcome, result.errors, trace.to_json_lines()


def test_a_model_that_raises_lets_the_packet_pass_and_fails_the_trial(tmp_path: Path) -> None:
    outcome, errors, trace = _trial(tmp_path, "raise LookupError('no such thing')", "register", "emulated")
    assert outcome == "error"
    assert errors == ["the model raised LookupError: no such thing"]
    assert trace.count('"error":"LookupError: no such thing"') == 4  # two requests, two answers
    assert b"200 OK".decode() in trace  # the phone did register
    assert (outcome, errors, trace) == _trial(
        tmp_path, "raise LookupError('no such thing')", "register", "simulated"
    )


def test_a_model_that_drops(tmp_path: Path) -> None:
    outcome, errors, trace = _trial(tmp_path, "context.drop('not today')", "register", "emulated")
    assert (outcome, errors) == ("fail", [])
    assert '"kind":"received"' not in trace
    assert '"fate":"dropped-by-model","detail":"not today"' in trace
    assert (outcome, errors, trace) == _trial(tmp_path, "context.drop('not today')", "register", "simulated")


@pytest.mark.parametrize("more", [700, 1500, 8000])
def test_a_model_whose_output_outgrows_the_mtu(more: int, tmp_path: Path) -> None:
    """Its packets leave in fragments, and arrive whole."""
    body = f"for field in message.all(b'user-agent'): field.value += b'y' * {more}"
    emulated = _trial(tmp_path, body, "register", "emulated")
    assert emulated[:2] == ("pass", [])
    assert "y" * more in emulated[2]
    assert emulated == _trial(tmp_path, body, "register", "simulated")


def test_a_model_whose_output_outgrows_ip(tmp_path: Path) -> None:
    body = "message.body = b'y' * 70000"
    emulated = _trial(tmp_path, body, "register", "emulated")
    assert emulated[:2] == ("fail", [])
    assert '"fate":"too-large"' in emulated[2]
    assert emulated == _trial(tmp_path, body, "register", "simulated")


# -- a kernel that does something else -----------------------------------------------------------------

_REGISTER = TrialSpec("home", "none", "register")


@pytest.mark.parametrize(
    ("host", "what"),
    [("phone", "a packet in the queue of router/inside"), ("registrar", "a datagram from 203.0.113.7:61002")],
)
def test_a_link_that_goes_down_ends_the_trial_with_a_clear_error(
    host: str, what: str, bubble: Bubble
) -> None:
    broken, fresh = bubble.call(inside.broken_link, _REGISTER, host, 0.3)
    assert broken.outcome == "error"
    assert broken.errors[0].startswith(f"the kernel did not deliver {what}")
    assert broken.errors[0].endswith("within 0.3 s")
    assert fresh == ("pass", [])


def test_a_queue_that_overflows_is_a_problem(bubble: Bubble) -> None:
    flooded = bubble.call(inside.overflow, 1500)
    assert len(flooded.problems) == 1
    assert flooded.problems[0].startswith("the kernel dropped packets at router/inside: ")
    assert flooded.passed_on == 0
    # Packets left in the queue do not affect the next trial.
    assert flooded.heard == [(PUBLIC, b"after the flood")]
    assert flooded.problems_after == []


def test_a_port_that_closes_while_something_waits_at_it(bubble: Bubble) -> None:
    assert bubble.call(inside.closed_in_between) == ([b"x"], [])


def test_a_trial_whose_queue_overflowed_is_void(bubble: Bubble) -> None:
    answer = bubble.call(inside.flooded_trial, _REGISTER, 1500)
    assert answer.outcome == "error"
    assert answer.errors[0].startswith("the kernel dropped packets at router/inside: ")


def test_a_packet_that_nobody_sent_is_a_problem(bubble: Bubble) -> None:
    answer = bubble.call(inside.stray_packet, _REGISTER)
    assert answer.errors == ["in a queue: 1 packet that nobody had sent"]


# -- noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [model.id for model in catalogue.load().runnable()])
def test_noise_gets_a_verdict_for_every_packet(model: str, bubble: Bubble) -> None:
    heard = bubble.call(inside.noise, model, 500, 7)
    assert heard.sent > 400
    assert heard.queued == heard.judged > 300
    assert heard.waiting == 0
    assert heard.errors == []
    assert heard.problems == []
    assert heard.alive


# -- programs in real time -------------------------------------------------------------------------------


def test_an_error_about_one_datagram_does_not_cost_the_next_one(bubble: Bubble) -> None:
    heard, unreachable, problems = bubble.call(inside.refused_then_heard)
    assert [payload for _, payload in heard] == [b"0", b"1", b"2", b"3", b"4"]
    assert set(unreachable) == {at(LAPTOP.ip, 9)}
    assert problems == []


def test_programs_end_with_their_status(bubble: Bubble) -> None:
    running = None
    assert bubble.call(inside.statuses) == [3, 3, running, -signal.SIGTERM, -signal.SIGKILL, -signal.SIGTERM]


def test_programs_that_cannot_be_started(bubble: Bubble) -> None:
    assert bubble.call(inside.refusals) == [
        f"no host 'nowhere' in topology 'home'; there are {', '.join(HOME.node_addresses)}",
        "no program 'no-such-program' here",
        "no program '/usr/lib/no/kamailio' here: apt-get install kamailio",
    ]
