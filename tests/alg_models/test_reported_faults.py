"""Faults from reports, CVEs and release notes: alone in a router without an ALG, and on top of two ALGs."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from enum import Enum

import pytest

from siplab.alg_models import catalogue, profiles, samples, vendors
from siplab.alg_models.vendors.schema import Switch
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Evidence
from siplab.lab.gateway.gateway import Dependence, Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire import ip
from siplab.lab.worlds.trace import Remark, WorldEvent
from tools import model_sizes

KNOWN = catalogue.load(plugins=False)
HOME = TrialSpec("home", "none", "register")
RENEWED = replace(HOME, topology="wan-renumbered", scenario="address-change")
BARE, LINUX, BROADCOM = "bare", "linux", "broadcom"
ALL = (BARE, LINUX, BROADCOM)
ALGS = (LINUX, BROADCOM)
SECOND, TURNING = "second customer registered", "two-phones(filtering=endpoint-independent)"


@dataclass(frozen=True)
class Case:
    """A fault, the scenario and check that fail because of it, and the routers in which they do.

    ``on``: alone in a router without an ALG, or on top of this ALG. Phone and server are empty for the
    default ones.
    """

    fault: str
    scenario: str
    fails: str
    on: tuple[str, ...] = ALL
    topology: str = "home"
    phone: str = ""
    server: str = ""
    mitigations: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.fault.partition("(")[0]

    @property
    def spec(self) -> TrialSpec:
        spec = replace(HOME, scenario=self.scenario, topology=self.topology, mitigations=self.mitigations)
        return replace(spec, phone=self.phone or spec.phone, server=self.server or spec.server)


CASES = (
    Case("headers-removed", "register", "registered"),
    Case("headers-removed(headers=via)", "incoming-call", "answered"),
    Case("headers-removed(headers=record-route)", "incoming-call", "stays up"),
    Case("headers-removed(headers=session-expires)", "long-call", "stays up"),
    Case("method-untranslated", "subscribe", "is subscribed", ALGS, server="strict-addresses"),
    Case(
        *("rport-value-wrong", "message", "phone gets the message", (BARE, LINUX)),
        phone="linphone",
        server="pbx-plain",
    ),
    Case("drop-without-state", "message", "far phone gets the message"),
    Case("answers-made-up", "register", "registered"),
    Case("answers-made-up(method=INVITE,status=403)", "outgoing-call", "rings"),
    Case("answers-made-up(method=INVITE,status=100)", "outgoing-call", "rings", topology="home(loss=0.3)"),
    Case("contact-glued", "outgoing-call", "rings", ALGS),
    Case("contact-opaque-token", "incoming-call", "rings", phone="spa"),
    Case("sdp-lines-eaten", "outgoing-call", "answered"),
    Case("binary-address-rewrite", "old-stun", "rings", (BARE,), phone="plain", server="strict-addresses"),
    Case("call-id-collision", "two-customers(alike=true)", SECOND, topology="shared-box"),
    Case("reinvite-clash", "hold", "is held"),
    Case("acts-without-nat", "incoming-call", "rings", topology="routed", server="strict-addresses"),
    Case("dscp-rewritten", "marked-call", "keeps its mark"),
    Case("early-packet-poisons", "router-reboot", "still registered"),
    Case(
        *("tcp-second-message-ignored", "tcp-call(framing=pipelined)", "caller hears in the outgoing call"),
        on=("correct",),
        server="strict-addresses",
    ),
    Case("hairpin-ack-lost", "direct-call", "stays up", ALGS, topology=TURNING),
    Case(
        *("hairpin-ack-lost", "direct-call", "stays up", (BARE,), TURNING),
        phone="stun",
        server="rport-aware",
    ),
    Case("alg-table-full", "long-uptime", "registers every time"),
    Case("alg-table-full(entries=5)", "two-customers", SECOND, topology="shared-box"),
    Case("wears-out", "long-uptime", "is called every time"),
    Case("stale-mapping", "incoming-call(idle=1900)", "rings", ("correct",)),
    Case(
        *("mapping-outlives-address", "address-change", "still registered"),
        topology="wan-renumbered",
        mitigations=("keep-alive",),
    ),
    Case("on-again-after-restart", "router-reboot", "still registered"),
    Case("sip-blocked", "register", "registered"),
    Case("big-message-ends-inspection", "large-invite", "rings", (LINUX,), server="strict-addresses"),
    Case(
        *("big-message-ends-inspection(longest=500)", "outgoing-call", "registered", ALGS),
        server="strict-addresses",
    ),
)


class Absent(Enum):
    """Why a fault does not show alone, or on one of the two ALGs."""

    NOTHING_WRITTEN = "it spoils what an ALG writes, and without one nothing is written"
    ANOTHER_STEP = "it is in a step, or in a setting, that this ALG has otherwise"
    OWN_WAY = "this ALG has its own way with these messages: it does not do what the fault spoils"


ABSENT = {
    ("method-untranslated", BARE): Absent.NOTHING_WRITTEN,
    ("rport-value-wrong", BROADCOM): Absent.OWN_WAY,
    ("contact-glued", BARE): Absent.NOTHING_WRITTEN,
    ("binary-address-rewrite", LINUX): Absent.ANOTHER_STEP,
    ("binary-address-rewrite", BROADCOM): Absent.ANOTHER_STEP,
    ("tcp-second-message-ignored", BARE): Absent.NOTHING_WRITTEN,
    ("tcp-second-message-ignored", LINUX): Absent.OWN_WAY,
    ("tcp-second-message-ignored", BROADCOM): Absent.OWN_WAY,
    ("stale-mapping", BARE): Absent.NOTHING_WRITTEN,
    ("stale-mapping", LINUX): Absent.ANOTHER_STEP,
    ("stale-mapping", BROADCOM): Absent.ANOTHER_STEP,
    ("big-message-ends-inspection", BARE): Absent.NOTHING_WRITTEN,
}
SHOWN = [(each, base) for each in CASES for base in each.on]
SAMPLE = random.Random(16).sample(range(len(SHOWN)), 12)
PARAMETERS = [
    pytest.param(
        *(each, base),
        id=f"{each.fault}-{each.scenario}-{base}",
        marks=[] if number in SAMPLE else pytest.mark.deep,
    )
    for number, (each, base) in enumerate(SHOWN)
]


def fixed_and_faulty(fault: str, base: str) -> tuple[str, str]:
    """The models of the router without the fault and with it."""
    if base == BARE:
        return "none", f"bare-{fault}"
    return base, fault if base == "correct" else f"{base}+{fault}"


@pytest.mark.parametrize(("case", "base"), PARAMETERS)
def test_a_fault_fails_alone_and_on_an_alg(case: Case, base: str) -> None:
    fixed, faulty = fixed_and_faulty(case.fault, base)
    control = run(replace(case.spec, model=fixed))[0]
    assert control.outcome == "pass", control.first_failure
    failure = run(replace(case.spec, model=faulty))[0].first_failure
    assert failure is not None
    assert failure.name == case.fails


@pytest.mark.parametrize(("fault", "base"), ABSENT)
def test_what_does_not_show_has_a_reason_that_holds(fault: str, base: str) -> None:
    spec = next(each.spec for each in CASES if each.id == fault)
    fixed, faulty = fixed_and_faulty(fault, base)
    if ABSENT[fault, base] is Absent.ANOTHER_STEP:
        with pytest.raises(UsageError, match="can't be combined"):
            KNOWN.get(faulty)
        return
    one, other = (run(replace(spec, model=each))[0] for each in (fixed, faulty))
    assert [(each.name, each.passed) for each in one.checks] == [
        (each.name, each.passed) for each in other.checks
    ]


def test_each_fault_shows_or_says_why_not_alone_and_on_both_algs() -> None:
    shown = {(each.id, base) for each in CASES for base in each.on}
    wanted = {(each.id, base) for each in CASES for base in ALL}
    assert not shown & set(ABSENT)
    assert wanted == {each for each in shown if each[1] in ALL} | set(ABSENT)


@pytest.mark.parametrize(("method", "turns"), [("ACK", False), ("BYE", True)])
def test_an_ack_is_lost_where_it_turns_round(method: str, turns: bool) -> None:
    gateway = Gateway(
        KNOWN.get("hairpin-ack-lost"),
        public_ip=samples.PUBLIC.ip,
        inside_networks=["192.168.1.0/24"],
        nat=NatConfig(filtering=Dependence.ENDPOINT_INDEPENDENT),
        rng=random.Random(0),
    )
    text = f"{method} sip:alice@203.0.113.7 SIP/2.0\r\n\r\n".encode()
    gateway.handle(ip.udp(samples.PHONE, samples.REGISTRAR, text), Side.INSIDE, 0.0)
    public = samples.PUBLIC._replace(port=samples.PHONE.port)
    (sent,) = gateway.handle(ip.udp(samples.SECOND_PHONE, public, text), Side.INSIDE, 1.0)
    assert (sent.side is Side.INSIDE) is turns
    assert turns or sent.detail == "ACK"


def test_the_line_is_renewed_once_and_the_trace_says_so() -> None:
    result, trace = run(replace(RENEWED, model="correct"))
    assert result.outcome == "pass"
    (said,) = (each for each in trace if isinstance(each, Remark) and each.kind is WorldEvent.RENUMBERED)
    assert said.detail == "the public address is 203.0.113.15 now"


def test_what_is_switched_off_is_on_again_where_the_card_says_so() -> None:
    card = vendors.load("mikrotik")
    switch = Switch(
        effect="all-flows", on_again=("power-loss",), source="this test", evidence=Evidence.INFERENCE
    )
    off = profiles.of_card(card.model_copy(update={"switch": switch}), KNOWN.get).with_parameters(
        {"alg": "off"}
    )
    assert off.steps == ()
    assert off.after_restart.steps == KNOWN.get(card.model).steps != ()
    stays = profiles.of_card(card, KNOWN.get).with_parameters({"alg": "off"})
    assert stays.after_restart.steps == ()


def test_the_sizes_of_models_are_up_to_date() -> None:
    page = model_sizes.PART.page.read_text(encoding="utf-8")
    assert model_sizes.PART.updated(page) == page, "run: python -m tools.model_sizes"


def test_models_of_a_lineage_share_its_code() -> None:
    linux = model_sizes.shared("linux")
    assert {"_linux.scan", "_linux.helper"} <= linux
    for each in ("netgear_dnisip", "tplink_mt7628"):
        assert linux <= model_sizes.shared(each)
    assert model_sizes.shared("pinholes_only") == set()
