"""Whether a fault was within reach: by replaying the packets through a router without an ALG."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.experiments.trial import controls, reach
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.reach import Reach
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Emission, Side
from siplab.lab.worlds.emulated.bubble import Bubble
from siplab.lab.worlds.trace import Passage, Trace
from tests.lab.worlds import inside

SPEC = TrialSpec("home", "none", "register", reach=True)


def reached(model: str, scenario: str = "register", **more: Any) -> Reach:
    result, _ = trial.run(TrialSpec("home", model, scenario, reach=True, **more))
    assert result.errors == []
    assert result.reach is not None
    return result.reach


def test_is_measured_only_when_asked_for() -> None:
    result, _ = trial.run(TrialSpec("home", "correct", "register"))
    assert result.reach is None
    assert "reach" not in result.as_json()


def test_a_rewriting_router_is_within_reach_and_says_what_it_changed() -> None:
    found = reached("correct")
    assert found.touched
    assert {"Via", "Contact"} <= set(found.changed)
    assert "CSeq" not in found.changed


@pytest.mark.parametrize("control", controls.available(), ids=lambda each: each.name)
def test_a_router_without_an_alg_is_never_within_reach(control: controls.Control) -> None:
    spec = TrialSpec(control.topology, "none", detector="mirror", control=control.name, reach=True)
    result, trace = trial.run(spec)
    assert result.reach == Reach(touched=False)
    assert len(trace) > 0


def test_a_timer_counts_when_it_runs_out_on_a_packet_of_the_exchange() -> None:
    # The home router keeps a binding for 60 s, the fault for 30 s.
    assert not reached("udp-binding-short", "register").touched
    assert not reached("udp-binding-short", "incoming-call(idle=20,duration=5)").touched
    assert reached("udp-binding-short", "incoming-call(idle=45,duration=5)").touched


def test_what_nobody_sends_is_out_of_reach_and_what_goes_elsewhere_is_not() -> None:
    """Nobody sends a keep-alive while registering: what the router does to them can't be seen."""
    assert not reached("keepalive-crlf-swallowed").touched
    assert reached("port5060-hijack").touched


def test_a_public_port_that_changes_is_seen_though_no_message_is() -> None:
    found = reached("mapping-not-stable")
    assert found.touched


# -- any difference, and only a difference ---------------------------------------------------------


def _clean() -> tuple[Trace, str]:
    _, trace = trial.run(SPEC)
    return trace, f"{SPEC.seed}/{SPEC.name}"


def _measure(trace: Trace, seed: str) -> bool:
    return reach.measure(trace, trial.network("home"), seed).touched


def _with_passage(trace: Trace, number: int, emissions: list[Emission]) -> Trace:
    changed = Trace()
    passages = trace.passages
    for record in trace:
        if record is passages[number]:
            changed.add(passages[number]._replace(emissions=emissions))
        else:
            changed.add(record)
    return changed


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_byte_counts_but_for_identification_and_header_checksum(data: st.DataObject) -> None:
    trace, seed = _clean()
    number = data.draw(st.integers(0, len(trace.passages) - 1))
    (emission,) = trace.passages[number].emissions
    place = data.draw(st.integers(1, len(emission.packet) - 1))
    packet = bytearray(emission.packet)
    packet[place] ^= data.draw(st.integers(1, 255))
    damaged = _with_passage(trace, number, [emission._replace(packet=bytes(packet))])
    assert _measure(damaged, seed) == (place not in (4, 5, 10, 11))


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_packet_more_or_less_or_on_the_other_side_counts_and_a_note_does_not(data: st.DataObject) -> None:
    trace, seed = _clean()
    number = data.draw(st.integers(0, len(trace.passages) - 1))
    (emission,) = trace.passages[number].emissions
    assert emission.side is not None
    others: list[tuple[list[Emission], bool]] = [
        ([], True),
        ([Emission(None, emission.packet, Fate.FILTERED)], True),
        ([emission, emission], True),
        ([emission._replace(side=emission.side.other)], True),
        ([emission._replace(detail="another detail", changed=True)], False),
        ([emission, Emission(None, emission.packet, Fate.FILTERED)], False),
    ]
    emissions, touched = data.draw(st.sampled_from(others))
    assert _measure(_with_passage(trace, number, emissions), seed) is touched


def test_bytes_that_are_no_packet_do_no_harm() -> None:
    trace, seed = _clean()
    for junk in (b"", b"\x45", b"\x00" * 19, b"\xff" * 64):
        emission = Emission(Side.OUTSIDE, junk, changed=True)
        trace.add(Passage(1.0, "router", Side.INSIDE, junk, [emission]))
    assert _measure(trace, seed)


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("model", ["none", "correct", "udp-binding-short", "udp-checksum-bad"])
def test_the_same_in_the_other_world(model: str, bubble: Bubble) -> None:
    spec = TrialSpec("home", model, detector="mirror", reach=True)
    here, _ = trial.run(spec)
    there = bubble.call(inside.run, spec)
    assert here.reach is not None
    assert there.result.get("reach") == here.as_json().get("reach")
