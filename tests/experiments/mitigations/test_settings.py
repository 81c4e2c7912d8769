"""Remedies that are a setting: of phone, server or router; and an ALG that is not really off."""

from __future__ import annotations

import re

import pytest

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.gateway import Side
from siplab.lab.sip.events import EventKind
from siplab.lab.wire import ip
from siplab.lab.worlds.trace import Noted, Passage, Sent, Trace

LATE = "incoming-call(idle=70)"


def play(topology: str, model: str, scenario: str, *mitigations: str, server: str = "") -> tuple[str, Trace]:
    spec = TrialSpec(topology, model, scenario, mitigations=mitigations, server=server)
    result, trace = trial.run(spec)
    assert result.errors == []
    return result.outcome, trace


def changed(trace: Trace) -> int:
    passages = [each for each in trace if isinstance(each, Passage)]
    return sum(emission.changed for each in passages for emission in each.emissions)


# -- keeping the way open ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("remedy", "outcome"),
    [
        ("keep-alive(method=stun)", "pass"),
        ("outbound", "pass"),
        ("server-keep-alive", "pass"),
        ("server-keep-alive(method=notify)", "pass"),
        ("server-keep-alive(method=zero-bytes)", "fail"),
        ("server-keep-alive(interval=90)", "fail"),
        ("udp-timeout", "pass"),
        ("udp-timeout(seconds=45)", "fail"),
    ],
)
def test_a_call_after_a_pause(remedy: str, outcome: str) -> None:
    assert play("home", "none", LATE)[0] == "fail"
    assert play("home", "none", LATE, remedy)[0] == outcome


def test_notify_says_what_it_is_for() -> None:
    _, trace = play("home", "none", LATE, "server-keep-alive(method=notify)")
    sent = [each.payload for each in trace if isinstance(each, Sent) and each.payload.startswith(b"NOTIFY")]
    assert sent
    assert all(b"\r\nEvent: keep-alive\r\n" in each for each in sent)


def test_outbound_says_who_the_phone_is_and_asks_by_stun() -> None:
    _, trace = play("home", "none", LATE, "outbound")
    sent = [each for each in trace if isinstance(each, Sent) and each.host == "phone"]
    (register, *_) = [each for each in sent if each.payload.startswith(b"REGISTER")]
    assert b";reg-id=1" in register.payload
    assert b"+sip.instance=" in register.payload
    asked = [each for each in sent if each.payload[:2] == b"\0\1"]
    assert {each.remote.port for each in asked} == {5060}, "at the server's SIP port (RFC 5626 4.4.2)"


def test_a_mapping_that_has_changed_is_noticed() -> None:
    _, trace = play("home", "none", "router-reboot", "outbound")
    failed = [each for each in trace if isinstance(each, Noted) and each.kind is EventKind.FLOW_FAILED]
    assert [each.host for each in failed] == ["phone"]


# -- messages ----------------------------------------------------------------------------------------


def test_a_call_id_without_an_address_stays_as_it_is() -> None:
    assert play("home", "call-id-rewrite", "register")[0] == "fail"
    outcome, trace = play("home", "call-id-rewrite", "register", "random-call-id")
    assert outcome == "pass"
    call_ids = [re.search(rb"\r\n(?:Call-ID|i): ([^\r]*)", each.payload) for each in trace.sip()]
    assert call_ids
    assert all(each is not None and b"@" not in each[1] for each in call_ids)


def test_small_messages_need_no_fragments() -> None:
    def fragments(trace: Trace) -> int:
        return sum(ip.parse(each.packet).is_fragment for each in trace if isinstance(each, Passage))

    outcome, trace = play("home", "fragment-drop", "large-invite")
    assert (outcome, fragments(trace) > 0) == ("fail", True)
    outcome, trace = play("home", "fragment-drop", "large-invite", "small-messages")
    assert (outcome, fragments(trace)) == ("pass", 0)


# -- routers -----------------------------------------------------------------------------------------


def test_another_router_has_another_nat_too() -> None:
    assert play("nat-symmetric", "semicolon-loss", "outgoing-call", "another-router")[0] == "pass"
    spec = TrialSpec("nat-symmetric", "none", "register", mitigations=("another-router",))
    nat = trial.network_of(spec).topology.gateways["router"].nat
    assert nat.mapping == "endpoint-independent"


def test_the_providers_hub_stays() -> None:
    hub = "semicolon-loss,hub=via-branch-altered"
    assert play("alg-behind-alg", "semicolon-loss,hub=none", "register", "another-router")[0] == "pass"
    assert play("alg-behind-alg", hub, "register", "another-router")[0] == "fail"


@pytest.mark.parametrize(
    ("leaves", "outcome"),
    [("card", "pass"), ("helper", "pass"), ("flows", "fail"), ("reboot", "fail"), ("cloud", "fail")],
)
def test_an_alg_that_is_not_really_off(leaves: str, outcome: str) -> None:
    found, trace = play("home", "semicolon-loss", "register", f"alg-off(leaves={leaves})")
    assert found == outcome
    assert bool(changed(trace)) is (leaves != "card"), "linux's helper stays, and does no harm"


def test_new_flows_are_free_of_an_alg_that_was_switched_off() -> None:
    """The second phone begins after the switch; the first one's flow keeps the old ALG."""
    _, trace = play("home", "correct", "two-phones", "alg-off(leaves=flows)")
    passages = [each for each in trace if isinstance(each, Passage) and each.side is Side.INSIDE]
    changed_ones, all_ones = (
        {ip.parse(each.packet).source for each in passages if some or any(e.changed for e in each.emissions)}
        for some in (False, True)
    )
    sip = {each for each in all_ones if each.port < 6000}
    assert len(sip) == 2, "two phones"
    assert len(sip & changed_ones) == 1, "of which one began before the switch"


def test_what_nobody_knows_of_a_helper_stays_unknown() -> None:
    remedy = ("alg-off(leaves=helper)",)
    result, _ = trial.run(TrialSpec("home", "fortinet-fortigate", "register", mitigations=remedy))
    assert result.outcome == "unknown"
