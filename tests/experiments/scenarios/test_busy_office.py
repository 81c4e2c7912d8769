"""An office: what is counted, who is told apart, and that it is run where it is named only."""

from __future__ import annotations

import pytest

from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.worlds.emulated.bubble import Bubble
from tests.lab.worlds import inside


def details(spec: TrialSpec) -> dict[str, tuple[bool, str]]:
    result, _ = trial.run(spec)
    assert not result.errors
    return {each.name: (each.passed, each.detail) for each in result.checks}


@pytest.mark.parametrize(
    ("topology", "phone", "server"), [("home", "", ""), ("no-nat", "high-port", "rport-aware")]
)
def test_everybody_is_registered_calls_and_hears(topology: str, phone: str, server: str) -> None:
    spec = TrialSpec(topology, "none", "busy-office(phones=5,calls=3,duration=4)", phone=phone, server=server)
    assert details(spec) == {
        "all are registered": (True, "5 of 5"),
        "all calls are answered": (True, "3 of 3"),
        "all callers hear": (True, "3 of 3"),
        "all callees hear": (True, "3 of 3"),
        "all calls end": (True, "3 of 3"),
    }


def test_records_grow_with_the_calls_and_no_faster() -> None:
    """Transactions of others, which are forgotten all the time, end no stretch of media."""
    _, trace = trial.run(TrialSpec("home", "none", "busy-office(phones=30,calls=30)"))
    assert len(trace) < 450 * 30, "that of a call, in which most packets of media come in one stretch"


def test_each_has_a_tunnel_of_its_own() -> None:
    spec = TrialSpec("home", "none", "busy-office(phones=3,calls=2,duration=4)", mitigations=("tunnel",))
    assert all(passed for passed, _ in details(spec).values())


def test_who_does_not_come_to_something_is_counted() -> None:
    found = details(TrialSpec("home(loss=1)", "none", "busy-office(phones=3,calls=3,duration=4)"))
    assert found["all are registered"] == (False, "0 of 3")
    assert found["all calls are answered"] == (False, "0 of 3")
    assert found["all callers hear"] == (False, "0 of 3")


def test_it_is_listed_and_is_none_of_all() -> None:
    known = registry.scenarios()
    assert "busy-office" not in {each.id for each in known}
    assert "busy-office" in {each.id for each in known.listed()}
    assert known.get("busy-office(calls=2)").settings.calls == 2


@pytest.mark.deep
@pytest.mark.needs("emulated")
def test_fifty_phones_in_the_emulated_world(bubble: Bubble) -> None:
    spec = TrialSpec("home", "correct", "busy-office(duration=4)")
    assert bubble.call(inside.digest, spec) == inside.digest(spec, emulated=False)


@pytest.mark.deep
def test_a_thousand_phones_and_five_hundred_calls() -> None:
    spec = TrialSpec("home", "none", "busy-office(phones=1000,calls=500,duration=4)")
    assert all(passed for passed, _ in details(spec).values())
