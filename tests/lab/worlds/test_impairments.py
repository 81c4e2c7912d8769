"""Loss, delay, jitter, reordering and duplication, in both worlds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab import topologies
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.sip.base import Close, Send
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.impairments import Fate, Impairments
from siplab.lab.worlds.topology import NetworkSpec
from siplab.lab.worlds.trace import Passage
from tests.lab.worlds import impaired, inside
from tests.lab.worlds.impaired import Heard, network, simulated
from tests.lab.worlds.players import PHONE, PUBLIC, REGISTRAR, Talker

HOME = (Path(topologies.__file__).parent / "home.yaml").read_text()
SHARES = st.floats(0, 1)
# The wan is between the router and the registrar, the lan between the phone and the router.
BAD_LINES = (
    "home(loss=0.3)",
    "home(delay=0.2)",
    "home(delay=0.2,jitter=0.2)",
    "home(delay=0.7,reorder=0.4)",
    "home(duplicate=0.5)",
    "home(delay=0.04,jitter=0.02,loss=0.1,reorder=0.2,duplicate=0.2)",
    "lossy",
    "lossy(mapping=address-and-port-dependent)",
    "double-nat(loss=0.2,delay=0.1,jitter=0.1)",
)


def numbers(heard: list[tuple[float, bytes]]) -> list[int]:
    return [int(payload.rstrip(b".")) for _, payload in heard]


# -- what each does ----------------------------------------------------------------------------------


def test_without_impairments_there_is_nothing_to_hold() -> None:
    heard = simulated("home")
    assert [now for now, _ in heard.registrar] == [number * 0.5 for number in range(20)]
    assert numbers(heard.phone) == list(range(20))
    assert heard.lost == []


def test_delay_is_there_in_both_directions() -> None:
    heard = simulated("home(delay=0.2)", count=4)
    assert [now for now, _ in heard.registrar] == pytest.approx([0.2, 0.7, 1.2, 1.7])
    # The registrar answers at most half a second later.
    assert [now for now, _ in heard.phone] == pytest.approx([0.7, 1.2, 1.7, 2.2])


def test_jitter_spreads_evenly_around_the_delay() -> None:
    heard = simulated("home(delay=0.2,jitter=0.1)", count=400)
    delays = [now - 0.5 * number for (now, _), number in zip(heard.registrar, range(400), strict=True)]
    assert 0.1 <= min(delays) < 0.12
    assert 0.28 < max(delays) <= 0.3
    assert sum(delays) / 400 == pytest.approx(0.2, abs=0.01)


def test_everything_can_get_lost_and_the_trace_says_where() -> None:
    heard = simulated("home(loss=1)", count=5)
    assert heard.registrar == heard.phone == []
    assert heard.lost == ["lost on the network 'wan'"] * 5


def test_the_share_that_gets_lost() -> None:
    heard = simulated("home(loss=0.3)", count=1000)
    assert 650 < len(heard.registrar) < 750
    assert len(heard.registrar) - len(heard.phone) + 1000 - len(heard.registrar) == len(heard.lost)
    assert numbers(heard.registrar) == sorted(numbers(heard.registrar))


def test_duplicates_arrive_twice() -> None:
    heard = simulated("home(duplicate=1)", count=5)
    assert numbers(heard.registrar) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len(heard.phone) == 4 * 5  # both copies are answered, and each answer comes twice


def test_some_overtake_others() -> None:
    order = numbers(simulated("home(delay=0.7,reorder=0.3)", count=50).registrar)
    assert order != sorted(order)
    assert sorted(order) == list(range(50))


def test_a_datagram_in_fragments_shares_one_fate() -> None:
    heard = simulated("home(loss=0.3,mtu=576)", count=100, size=2000)
    whole = [payload for _, payload in heard.registrar]
    assert 50 < len(whole) < 90
    assert all(len(payload) >= 2000 for payload in whole)


def test_each_network_on_the_way_adds_its_part() -> None:
    """Two routers in a row with the delay between them: it counts once in each direction."""
    heard = simulated("double-nat(delay=0.2)", count=2)
    assert [now for now, _ in heard.registrar] == pytest.approx([0.2, 0.7])
    crossed = network("double-nat(delay=0.2)").crossed
    assert crossed("phone", "198.51.100.10") == ("lan",)
    assert crossed("router", "198.51.100.10") == ("between",)
    assert crossed("hub", "198.51.100.10") == ("wan", "provider")


def test_only_what_crosses_an_impaired_network_has_a_fate() -> None:
    impairments = Impairments(network("home(delay=0.2)"), 1)
    assert impairments.fate("phone", "198.51.100.10") is None  # the lan is in order
    assert impairments.fate("registrar", "198.51.100.20") is None
    fate = impairments.fate("router", "198.51.100.10")
    assert fate is not None
    assert fate.delays == (0.2,)


def test_a_port_that_closes_takes_what_it_held_along() -> None:
    world = impaired.world("home(delay=0.2)")
    phone, registrar = Talker(PHONE), Talker(REGISTRAR)
    world.add("registrar", registrar)
    world.add("phone", phone)
    world.perform(registrar, [Send(REGISTRAR, PUBLIC, b"x"), Close(REGISTRAR)])
    world.idle(1.0)
    assert [each for each in world.trace if isinstance(each, Passage)] == []


@settings(max_examples=60, deadline=None)
@given(
    loss=SHARES,
    duplicate=SHARES,
    reorder=SHARES,
    delay=st.floats(0.001, 5),
    spread=SHARES,
    seed=st.integers(0, 2**32),
)
def test_no_copy_comes_from_nowhere_early_or_late(
    loss: float, duplicate: float, reorder: float, delay: float, spread: float, seed: int
) -> None:
    jitter = delay * spread
    spec = f"home(loss={loss},duplicate={duplicate},reorder={reorder},delay={delay},jitter={jitter})"
    impairments = Impairments(network(spec), seed)
    for _ in range(20):
        fate = impairments.fate("router", "198.51.100.10")
        assert fate is not None
        assert len(fate.delays) <= 2
        assert bool(fate.delays) != bool(fate.lost_on)
        for each in fate.delays:
            assert each == 0 or delay - jitter - 1e-9 <= each <= delay + jitter + 1e-9


def test_one_setting_does_not_change_what_another_decides() -> None:
    """The same packets get lost, whether or not others are doubled or delayed."""
    lost = {
        spec: [not fate.delays for fate in fates(spec, 200)]
        for spec in ("home(loss=0.3)", "home(loss=0.3,duplicate=0.5)", "home(loss=0.3,delay=1,jitter=1)")
    }
    assert len({tuple(each) for each in lost.values()}) == 1
    assert 40 < sum(lost["home(loss=0.3)"]) < 80


def fates(spec: str, count: int) -> list[Fate]:
    impairments = Impairments(network(spec), 1)
    found = [impairments.fate("router", "198.51.100.10") for _ in range(count)]
    return [each for each in found if each is not None]


def test_another_seed_loses_others() -> None:
    one, other = (simulated("home(loss=0.3)", seed=seed) for seed in (1, 2))
    assert numbers(one.registrar) != numbers(other.registrar)


def test_an_impaired_network_says_so() -> None:
    assert not NetworkSpec(subnet="192.168.1.0/24").is_impaired
    for name in ("loss", "duplicate", "delay"):
        assert NetworkSpec.model_validate({"subnet": "192.168.1.0/24", name: 0.1}).is_impaired


# -- the same seed gives the same again --------------------------------------------------------------


@pytest.mark.parametrize("spec", BAD_LINES)
def test_the_same_seed_gives_the_same_trace(spec: str) -> None:
    assert simulated(spec).trace == simulated(spec).trace


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("spec", BAD_LINES)
def test_the_worlds_see_the_same_datagrams(spec: str, bubble: Bubble) -> None:
    for seed in (1, 2, 3):
        emulated: Heard = bubble.call(impaired.emulated, spec, 20, 10, seed)
        assert emulated == simulated(spec, seed=seed)
        assert emulated.problems == []


@pytest.mark.needs("emulated")
def test_the_worlds_see_the_same_fragments(bubble: Bubble) -> None:
    spec = "lossy(mtu=576)"
    emulated: Heard = bubble.call(impaired.emulated, spec, 20, 2000, 1)
    assert emulated == simulated(spec, size=2000)


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", ["none", "correct", "semicolon-loss"])
def test_the_worlds_see_the_same_trials(model: str, bubble: Bubble) -> None:
    for name, scenario in (("lossy", "register"), ("lossy", "outgoing-call"), ("home(loss=0.2)", "register")):
        for seed in (1, 2, 3):
            spec = TrialSpec(name, model, scenario, seed=seed)
            run: inside.Run = bubble.call(inside.run, spec)
            assert run.trace == trial.run(spec)[1].to_json_lines()


# -- in real time ------------------------------------------------------------------------------------


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("sender", ["agent", "program"])
def test_delays_are_real_when_programs_run(bubble: Bubble, sender: str) -> None:
    found: impaired.Live = bubble.call(impaired.live, "home(delay=0.2)", sender)
    assert len(found.heard) == 1
    assert found.behind_router is not None
    assert found.behind_router >= 0.2
    assert found.lost == []


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("sender", ["agent", "program"])
def test_losses_are_real_when_programs_run(bubble: Bubble, sender: str) -> None:
    found: impaired.Live = bubble.call(impaired.live, "home(loss=1)", sender)
    assert found.heard == []
    assert found.lost == ["lost on the network 'wan'"]


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("sender", ["agent", "program"])
def test_what_comes_to_the_router_over_a_bad_line_is_impaired_too(
    bubble: Bubble, sender: str, tmp_path: Path
) -> None:
    """The lan is impaired here: agents delay what they send, and programs' packets wait at the router."""
    for what in ("delay: 0.2", "loss: 1"):
        file = tmp_path / f"{what.replace(': ', '-')}.yaml"
        file.write_text(HOME.replace("192.168.1.0/24}", f"192.168.1.0/24, {what}}}"))
        found: impaired.Live = bubble.call(impaired.live, str(file), sender)
        if what == "loss: 1":
            assert found.heard == []
            assert found.lost == ["lost on the network 'lan'"]
        else:
            assert len(found.heard) == 1
            assert sender == "program" or (found.before_router or 0.0) >= 0.2
