"""The simulated world: what happens to datagrams, and the virtual clock."""

from __future__ import annotations

import pytest

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Side
from siplab.lab.sip.base import Action, Close, Listen, Send
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds import lab_world
from siplab.lab.worlds.base import WorldError
from siplab.lab.worlds.simulated import SimulatedWorld
from siplab.lab.worlds.trace import Passage, Remark
from tests.lab.worlds.players import (
    EXCHANGES,
    LAPTOP,
    NETWORKS,
    NONE,
    PHONE,
    PUBLIC,
    REGISTRAR,
    Talker,
    at,
    play,
)


def simulated(name: str = "home") -> SimulatedWorld:
    network = NETWORKS[name]
    return SimulatedWorld(network, dict.fromkeys(network.topology.gateways, NONE), 0)


@pytest.fixture
def world() -> SimulatedWorld:
    return simulated()


# -- datagrams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXCHANGES)
def test_exchange(name: str) -> None:
    exchange = EXCHANGES[name]
    outcome = play(simulated(exchange.network), exchange)
    assert outcome.heard == list(exchange.heard)
    assert outcome.unreachable == list(exchange.unreachable)
    assert outcome.lost == list(exchange.lost)
    assert outcome.refused == exchange.refused
    assert outcome.problems == []


@pytest.mark.parametrize("name", EXCHANGES)
def test_exchange_leaves_one_trace(name: str) -> None:
    exchange = EXCHANGES[name]
    assert len({play(simulated(exchange.network), exchange).trace for _ in range(3)}) == 1


def test_a_refusal_says_why(world: SimulatedWorld) -> None:
    talker = Talker(PHONE)
    world.add("phone", talker)
    world.perform(talker, [Send(PHONE, at("lab.test"), b""), Send(PHONE, at("127.0.0.1"), b"")])
    details = [each.detail for each in world.trace if isinstance(each, Remark) and each.kind == "not-sent"]
    assert "'lab.test' is not an IP address" in details[0]
    assert "127.0.0.1 is no address of another host" in details[1]


# -- the clock -------------------------------------------------------------------------------------


def test_timers_fire_in_order_of_time_whoever_has_them(world: SimulatedWorld) -> None:
    one, two = Talker(PHONE, (3.0, 1.0, 7.5)), Talker(REGISTRAR, (2.0, 3.0))
    world.add("phone", one)
    world.add("registrar", two)
    seen: list[float] = []

    def watch() -> bool:
        if not seen or seen[-1] != world.now:
            seen.append(world.now)
        return False

    assert not world.run_until(watch, 5.0)
    assert seen == [0.0, 1.0, 2.0, 3.0, 5.0]
    assert one.fired == [1.0, 3.0]
    assert two.fired == [2.0, 3.0]


def test_a_timer_at_the_deadline_fires_and_one_behind_it_does_not(world: SimulatedWorld) -> None:
    talker = Talker(PHONE, (5.0, 5.5))
    world.add("phone", talker)
    world.idle(5.0)
    assert talker.fired == [5.0]
    assert world.now == 5.0
    world.idle(0.5)
    assert talker.fired == [5.0, 5.5]


def test_run_until_stops_at_the_event_and_not_later(world: SimulatedWorld) -> None:
    talker = Talker(PHONE, (1.0, 2.0, 3.0))
    world.add("phone", talker)
    assert world.run_until(lambda: 2.0 in talker.fired, 10.0)
    assert world.now == 2.0
    assert talker.fired == [1.0, 2.0]


def test_run_until_something_that_is_so_takes_no_time(world: SimulatedWorld) -> None:
    world.add("phone", Talker(PHONE, (1.0,)))
    assert world.run_until(lambda: True, 10.0)
    assert world.now == 0.0


def test_run_until_delivers_what_is_under_way_first(world: SimulatedWorld) -> None:
    one, two = Talker(PHONE), Talker(REGISTRAR)
    world.add("registrar", two)
    world.add("phone", one)
    world.perform(one, [Send(PHONE, REGISTRAR, b"x")])
    assert two.heard == []  # carried, but not processed yet
    assert world.run_until(lambda: True, 0.0)
    assert two.heard == [(PUBLIC, b"x")]


def test_run_until_gives_up_at_its_deadline(world: SimulatedWorld) -> None:
    assert not world.run_until(lambda: False, 7.0)
    assert world.now == 7.0
    assert world.run_until(lambda: world.now >= 10.0, 3.0)


def test_idle_time_adds_up(world: SimulatedWorld) -> None:
    for seconds in (0.0, 1.5, 3600.0):
        world.idle(seconds)
    assert world.now == 3601.5


def test_a_timer_missed_while_nobody_looked_fires_late_but_once(world: SimulatedWorld) -> None:
    world.idle(10.0)
    talker = Talker(PHONE, (1.0,))
    world.add("phone", talker)
    world.idle(0.0)
    assert talker.fired == [1.0]
    assert world.now == 10.0  # time does not run backwards


# -- packets that go in circles ------------------------------------------------------------------


class _Echo(Talker):
    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        return [Send(local, source, payload)]


class _Stuck(Talker):
    def next_timer(self) -> float:
        return 0.0

    def on_timer(self, now: float) -> list[Action]:
        return []


def test_agents_that_answer_each_other_for_ever(
    world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_world, "MAX_STEPS", 1000)
    one = _Echo(PHONE)
    world.add("phone", one)
    world.add("laptop", _Echo(LAPTOP))
    world.perform(one, [Send(PHONE, LAPTOP, b"x")])
    with pytest.raises(WorldError, match="nothing settled within 1000 steps"):
        world.idle(1.0)


def test_an_agent_that_talks_to_itself_for_ever(
    world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab_world, "MAX_STEPS", 1000)
    one = _Echo(PHONE)
    world.add("phone", one)
    world.perform(one, [Send(PHONE, PHONE, b"x")])
    with pytest.raises(WorldError, match="nothing settled"):
        world.idle(1.0)


def test_a_timer_that_is_always_due(world: SimulatedWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_world, "MAX_STEPS", 1000)
    world.add("phone", _Stuck(PHONE))
    with pytest.raises(WorldError, match="nothing settled"):
        world.idle(1.0)


# -- sockets ---------------------------------------------------------------------------------------


def test_sending_from_a_port_that_is_not_open(world: SimulatedWorld) -> None:
    talker = Talker(PHONE)
    world.add("phone", talker)
    with pytest.raises(
        WorldError, match=r"Talker sends from 192\.168\.1\.102:5062, where it does not listen"
    ):
        world.perform(talker, [Send(at(PHONE.ip, 5062), REGISTRAR, b"x")])


def test_an_address_that_no_host_has(world: SimulatedWorld) -> None:
    with pytest.raises(WorldError, match=r"no host has the address 192\.168\.1\.77"):
        world.add("phone", Talker(at("192.168.1.77")))


def test_two_agents_on_one_port(world: SimulatedWorld) -> None:
    world.add("phone", Talker(PHONE))
    with pytest.raises(WorldError, match=r"192\.168\.1\.102:5060 is already in use"):
        world.add("phone", Talker(PHONE))


def test_a_closed_port_can_be_opened_again(world: SimulatedWorld) -> None:
    one, two = Talker(PHONE), Talker(LAPTOP)
    world.add("phone", one)
    world.add("laptop", two)
    world.perform(one, [Close(PHONE), Close(PHONE)])
    world.perform(two, [Send(LAPTOP, PHONE, b"into the void")])
    world.idle(1.0)
    assert (one.heard, two.unreachable) == ([], [PHONE])
    world.perform(one, [Listen(PHONE)])
    world.perform(two, [Send(LAPTOP, PHONE, b"x")])
    world.idle(1.0)
    assert one.heard == [(LAPTOP, b"x")]


def test_a_port_closed_while_a_datagram_is_under_way(world: SimulatedWorld) -> None:
    one, two = Talker(PHONE), Talker(LAPTOP)
    world.add("phone", one)
    world.add("laptop", two)
    world.perform(two, [Send(LAPTOP, PHONE, b"x")])
    world.perform(one, [Close(PHONE)])
    world.idle(1.0)
    assert (one.heard, two.unreachable) == ([], [])


# -- NAT timeouts ----------------------------------------------------------------------------------


def _answer_after(*gaps: float) -> tuple[list[bytes], list[tuple[Fate, str]]]:
    """The phone sends once, the registrar after each gap; returns what arrived, and why the rest did not."""
    world = simulated()
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    world.add("phone", phone)
    world.add("registrar", registrar)
    world.perform(phone, [Send(PHONE, REGISTRAR, b"x")])
    for number, gap in enumerate(gaps):
        world.idle(gap)
        world.perform(registrar, [Send(REGISTRAR, PUBLIC, b"%d" % number)])
        world.idle(0.0)
    notes = [
        (each.emissions[0].fate, each.emissions[0].detail)
        for each in world.trace
        if isinstance(each, Passage) and each.side is Side.OUTSIDE and each.emissions[0].side is None
    ]
    return [payload for _, payload in phone.heard], notes


def test_a_binding_lives_for_60_seconds_to_the_moment() -> None:
    assert _answer_after(59.999) == ([b"0"], [])
    heard, notes = _answer_after(60.0)
    assert heard == []
    assert notes == [(Fate.NO_BINDING, "198.51.100.10:5060 to public port 61002")]


def test_traffic_from_the_outside_does_not_prolong_a_binding() -> None:
    heard, notes = _answer_after(30.0, 29.0, 1.0)
    assert heard == [b"0", b"1"]
    assert len(notes) == 1


def test_traffic_from_the_inside_does() -> None:
    world = simulated()
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    world.add("phone", phone)
    world.add("registrar", registrar)
    for _ in range(10):
        world.perform(phone, [Send(PHONE, REGISTRAR, b"x")])
        world.idle(59.0)
    world.perform(registrar, [Send(REGISTRAR, PUBLIC, b"y")])
    world.idle(0.0)
    assert phone.heard == [(REGISTRAR, b"y")]
    assert {source for source, _ in registrar.heard} == {PUBLIC}


@pytest.mark.parametrize(
    ("model", "idle", "outcome"),
    [("none", 50, "pass"), ("none", 70, "fail"), ("correct", 70, "pass"), ("correct", 3000, "pass")],
)
def test_a_call_comes_in_after_an_idle_time(model: str, idle: int, outcome: str) -> None:
    """A correct ALG keeps a pinhole for the registration's lifetime, a plain NAT its binding for 60 s."""
    result, _ = trial.run(TrialSpec("home", model, f"incoming-call(idle={idle})"))
    assert result.outcome == outcome
    assert result.duration > idle
    if outcome == "fail":
        assert result.first_failure is not None
        assert result.first_failure.name == "rings"
