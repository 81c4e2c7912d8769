"""Faults of state that people report: alone in a router without an ALG, and on a vendor's ALG."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from siplab.alg_models import catalogue, profiles, samples, vendors
from siplab.alg_models.vendors.schema import Switch
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.alg import Evidence
from siplab.lab.gateway.gateway import Dependence, Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig
from siplab.lab.wire import ip
from siplab.lab.worlds.trace import Remark, WorldEvent
from tools import model_sizes

KNOWN = catalogue.load(plugins=False)
HOME = TrialSpec("home", "none", "register")
RENEWED = replace(HOME, topology="wan-renumbered", scenario="address-change")
SHARED = replace(HOME, topology="shared-box", scenario="two-customers")
ROUTED = replace(HOME, topology="routed", scenario="incoming-call", server="strict-addresses")
MONTHS = replace(HOME, scenario="long-uptime")

CASES = {
    "mapping-outlives-address": (replace(RENEWED, mitigations=("keep-alive",)), "still registered"),
    "early-packet-poisons": (replace(HOME, scenario="router-reboot"), "still registered"),
    "dscp-rewritten": (replace(HOME, scenario="marked-call"), "keeps its mark"),
    "wears-out": (MONTHS, "is called every time"),
    "alg-table-full(entries=5)": (SHARED, "second customer registered"),
    "call-id-collision": (
        replace(SHARED, scenario="two-customers(alike=true)"),
        "second customer registered",
    ),
    "acts-without-nat": (ROUTED, "rings"),
}


@pytest.mark.parametrize("fault", CASES)
@pytest.mark.parametrize("base", ["bare", "linux", "broadcom"])
def test_a_fault_fails_alone_and_on_an_alg(fault: str, base: str) -> None:
    spec, check = CASES[fault]
    fixed = run(replace(spec, model="none" if base == "bare" else base))[0]
    assert fixed.outcome == "pass", fixed.first_failure
    model = f"bare-{fault}" if base == "bare" else f"{base}+{fault}"
    failure = run(replace(spec, model=model))[0].first_failure
    assert failure is not None
    assert failure.name == check


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
