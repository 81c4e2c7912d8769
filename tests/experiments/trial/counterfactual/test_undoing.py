"""A trial run again with actions of its routers undone: what is undone, and what is left as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.alg_models import samples
from siplab.alg_models.steps.headers import HoldRegistration
from siplab.alg_models.steps.media import CloseDialog
from siplab.experiments.trial import reach
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.counterfactual.actions import ActionKind, GatewayAction, parse
from siplab.experiments.trial.counterfactual.parts import merged
from siplab.experiments.trial.counterfactual.pinholes import pinholes_of
from siplab.experiments.trial.counterfactual.replay import Replayer
from siplab.experiments.trial.counterfactual.search import smallest
from siplab.experiments.trial.counterfactual.undoing import CORRECT, NONE, Undoing
from siplab.experiments.trial.counterfactual.writers import writers
from siplab.experiments.trial.spec import TrialSpec, seed_of
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Context, Model, Recipe
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.sip import SipMessage

EVERYTHING = [GatewayAction("", each) for each in ActionKind]


def replayer(model: str, scenario: str, topology: str = "home") -> Replayer:
    return Replayer(TrialSpec(topology, model, scenario, phone="plain", server="rport-aware"))


@pytest.mark.parametrize(
    ("model", "scenario"),
    [("semicolon-loss", "outgoing-call"), ("early-packet-poisons", "router-reboot")],
)
def test_with_nothing_undone_the_checks_come_out_as_they_did(model: str, scenario: str) -> None:
    again = replayer(model, scenario)
    result, _ = trial.run(again.spec)
    outcome = again.run([each.name for each in result.checks], ())
    assert dict(outcome.checks) == {each.name: each.passed for each in result.checks}
    assert outcome.done == ()


def test_one_part_of_one_message_is_undone() -> None:
    again = replayer("record-route-mangled", "outgoing-call")
    one = GatewayAction("router", ActionKind.PART, "in", "200 OK (INVITE)", 1, "Record-Route")
    outcome = again.run(["stays up"], [one])
    assert outcome.passes("stays up")
    (done,) = outcome.done
    assert done.bare == one
    assert done.before == done.instead != done.after
    assert done.before.startswith("Record-Route: <sip:198.51.100.")


def test_another_message_is_another_action() -> None:
    again = replayer("record-route-mangled", "outgoing-call")
    other = GatewayAction("router", ActionKind.PART, "in", "180 Ringing (INVITE)", part="Record-Route")
    assert not again.run(["stays up"], [other]).passes("stays up")


class _Nothing:
    """An ALG that looks at messages, and does nothing to them."""

    def apply(self, message: SipMessage, context: Context) -> None:
        pass


@pytest.mark.parametrize(
    ("part", "written", "opens"),
    [
        ("start line", set(), False),
        ("Via", {"Via"}, False),
        ("Contact", {"Contact"}, False),
        ("From", set(), False),
        ("Content-Length", set(), False),
        ("SDP o=", {"SDP o="}, False),
        ("SDP c=", {"SDP c="}, False),
        ("SDP m=", {"SDP m="}, True),
        ("", {"Via", "Contact", "SDP o=", "SDP c=", "SDP m="}, True),
    ],
)
def test_what_is_undone_is_written_and_nothing_else_is_done(
    part: str, written: set[str], opens: bool
) -> None:
    """Only a media port that is written has to lead somewhere: that one is opened."""
    model = Model("idle", Card("For this test."), Recipe(base=(_Nothing(),)))
    gateway = samples.gateway_for(Undoing([GatewayAction("", ActionKind.PART, part=part)]).model("", model))
    packet = samples.all_samples()["invite"].packets[-1]
    (emission,) = gateway.handle(packet.data, packet.side, packet.at)
    assert not emission.error
    sent, seen = (ip.parse(each).payload for each in (packet.data, emission.packet))
    assert set(differences(sent, seen)) - {"Content-Length"} == written
    assert bool(pinholes_of(gateway.nat, packet.at)) == opens


def test_a_length_that_is_right_for_the_algs_own_body_is_not_undone() -> None:
    """To this ALG's descriptions belong other lengths than to those of one that makes no mistake."""
    outcome = replayer("danos", "direct-call").run(["caller hears"], [parse("Content-Length out")])
    assert outcome.done == ()
    assert not outcome.passes("caller hears")


def test_a_length_that_stayed_is_made_that_of_the_algs_body() -> None:
    outcome = replayer("content-length-stale", "outgoing-call").run(["rings"], [parse("Content-Length out")])
    assert outcome.passes("rings")
    assert {each.part for each in outcome.done} == {"Content-Length"}
    assert all(each.before == each.after != each.instead for each in outcome.done)


def test_every_step_of_the_reference_writes_parts_or_opens_pinholes() -> None:
    assert set(CORRECT) - set(writers(CORRECT, [""])) == {HoldRegistration(), CloseDialog()}


def test_a_setting_is_undone() -> None:
    outcome = replayer("fragment-drop", "large-invite").run(["rings"], [parse("policy fragments")])
    assert outcome.passes("rings")
    assert [(each.part, each.after, each.instead) for each in outcome.done] == [
        ("fragments", "drop", "reassemble")
    ]


def test_who_answers_in_the_peers_place_passes_the_message_on() -> None:
    outcome = replayer("port5060-hijack", "register").run(["registered"], [parse("answer")])
    assert outcome.passes("registered")
    assert {each.kind for each in outcome.done} == {ActionKind.ANSWER}


def test_a_public_endpoint_stays() -> None:
    again = replayer("mapping-not-stable", "re-register")
    assert not again.run(["stays registered"], ()).passes("stays registered")
    assert again.run(["stays registered"], [parse("mapping out")]).passes("stays registered")


def test_what_the_alg_remembers_is_undone_with_its_pinholes() -> None:
    again = replayer("pinhole-left-open", "stale-pinhole")
    bye = parse("state of 200 OK (BYE) in")
    assert again.run(["stays shut"], [bye]).passes("stays shut")
    (seen,) = replayer("correct", "stale-pinhole").run(["stays shut"], (), watched=[bye]).done
    assert "closed the pinhole 203.0.113.7:" in seen.after
    (seen,) = again.run(["stays shut"], (), watched=[bye]).done
    assert seen.after == ""


def test_the_other_reference_leaves_all_as_it_was() -> None:
    """A phone that asks a STUN server wants no ALG at all: not even one that makes no mistake."""
    spec = TrialSpec("home", "correct", "register", phone="stun")
    assert trial.run(spec)[0].outcome == "fail"
    assert not Replayer(spec).run(["registered"], EVERYTHING).passes("registered")
    assert Replayer(spec).run(["registered"], EVERYTHING, (), NONE).passes("registered")


def test_a_scenario_that_comes_to_grief_has_not_passed() -> None:
    again = Replayer(TrialSpec("home", "correct", "no-such-scenario"))
    assert not again.run(["registered"], ()).passes("registered")


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("Record-Route in", GatewayAction("", ActionKind.PART, "in", part="Record-Route")),
        ("SDP c=", GatewayAction("", ActionKind.PART, part="SDP c=")),
        (
            "SDP c= of 200 OK (INVITE) in",
            GatewayAction("", ActionKind.PART, "in", "200 OK (INVITE)", part="SDP c="),
        ),
        ("start line out", GatewayAction("", ActionKind.PART, "out", part="start line")),
        ("drop of ACK", GatewayAction("", ActionKind.DROP, label="ACK")),
        ("policy fragments", GatewayAction("", ActionKind.POLICY, part="fragments")),
        ("nat  udp_timeout", GatewayAction("", ActionKind.NAT, part="udp_timeout")),
        ("state of BYE out", GatewayAction("", ActionKind.STATE, "out", "BYE")),
    ],
)
def test_an_action_in_words(text: str, action: GatewayAction) -> None:
    assert parse(text) == action
    assert parse(str(action)) == action


def test_no_action_at_all_is_one_line() -> None:
    with pytest.raises(UsageError, match="is no action of a router"):
        parse("")


INVITE = (
    b"INVITE sip:bob@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20\r\nRecord-Route: <sip:a>\r\n"
    b"Record-Route: <sip:b>\r\nTo: <sip:bob@lab.test>\r\nContact: <sip:alice@192.168.1.20>\r\n"
    b"Content-Length: %d\r\n\r\n%s"
)
BODY = b"v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\nc=IN IP4 192.168.1.20\r\nm=audio 49170 RTP/AVP 0\r\n"
OTHER = INVITE.replace(b"192.168.1.20", b"203.0.113.7").replace(b"<sip:b>", b"<sip:changed>")
OTHER_BODY = BODY.replace(b"192.168.1.20", b"203.0.113.7").replace(b"49170", b"61004")
ALL_PARTS = ["Via", "Record-Route", "Contact", "Content-Length", "SDP o=", "SDP c=", "SDP m="]


@given(st.sets(st.sampled_from([each for each in ALL_PARTS if each != "Content-Length"])))
def test_some_parts_of_another_message_and_no_more(parts: set[str]) -> None:
    own = SipMessage.parse(INVITE % (len(BODY), BODY))
    other = SipMessage.parse(OTHER % (len(OTHER_BODY), OTHER_BODY))
    made = merged(own, other, sorted(parts))
    changed, left = differences(bytes(own), bytes(made)), differences(bytes(made), bytes(other))
    assert set(changed) - {"Content-Length"} == parts
    assert set(left) - {"Content-Length"} == set(ALL_PARTS) - {"Content-Length"} - parts
    assert made.content_length == len(made.body)


@given(st.sets(st.integers(0, 30), min_size=1, max_size=4), st.integers(31, 40))
def test_of_a_set_that_cures_the_smallest_part_is_left(needed: set[int], count: int) -> None:
    items = [GatewayAction("", ActionKind.PART, nth=number + 1) for number in range(count)]

    def cures(chosen: object) -> bool:
        return needed <= {each.nth - 1 for each in chosen}  # type: ignore[attr-defined]

    assert {each.nth - 1 for each in smallest(items, cures)} == needed


def test_packets_go_through_other_routers_across_a_reboot() -> None:
    """A router without a fault did nothing that one without an ALG would not have done, rebooted or not."""
    spec = TrialSpec("dual-stack", "none", "router-reboot")
    _, trace = trial.run(spec)
    assert reach.measure(trace, trial.network("dual-stack"), seed_of(spec)) == reach.Reach(touched=False)
