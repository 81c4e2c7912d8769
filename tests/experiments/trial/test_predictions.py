"""Which fault shows with which kind of server: what was seen with programs, or follows from their sources.

``seen``: Kamailio 5.6.3 or rtpengine 10.5.3 was run and did so. ``inference``: it follows from the source
that the kind's card names. What no model of the catalogue does is in
``test_altered_messages``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import pytest

from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.wire.ip import Endpoint
from tools import agreement, trials

Mark = Literal["seen", "inference"]
LATE = "incoming-call(idle=120)"
SLOW_NAT = "home(udp_timeout=75)"  # longer than the minute between the pings of FreePBX
COUNTS_INBOUND = "home(refresh=both)"  # RFC 4787 REQ-6 leaves that open
NATTED = "proxy-detect(relay_when=natted)"
IVOZ = "proxy-detect(nat_tests=[via-host,via-port])"


class Row(NamedTuple):
    model: str
    scenario: str
    servers: tuple[str, ...]
    outcome: str
    mark: Mark
    topology: str = "home"


ROWS = (
    # No test compares a public Contact with the source.
    Row("contact-wrong-port", "register", ("proxy-detect",), "works", "seen"),
    Row("contact-wrong-port", "incoming-call", ("proxy-detect",), "rings", "seen"),
    Row("contact-wrong-port", "incoming-call", ("freeswitch", "pbx-plain"), "rings", "inference"),
    Row("contact-wrong-port", "incoming-call", ("pbx-nat", "proxy-always"), "works", "inference"),
    # A relay that latches on the first packets repairs the description; where NAT is not seen there is none.
    Row("sdp-c-only", "outgoing-call", ("proxy-detect",), "works", "seen"),
    Row("sdp-c-only", "outgoing-call", ("pbx-nat", "freeswitch", "proxy-always"), "works", "inference"),
    Row("sdp-c-only", "outgoing-call", (NATTED, "trunk", "pbx-plain"), "caller hears", "inference"),
    # Oracle's restriction is one of the address: a wrong port is forgiven, a private address is not.
    Row("sdp-m-only", "outgoing-call", ("sbc-hnt(restrict=sdp)",), "callee hears", "inference"),
    Row("sdp-m-only", "outgoing-call", ("sbc-hnt",), "works", "inference"),
    # Who asks whether there is a NAT does not keep one alive that is hidden.
    Row("none", LATE, ("proxy-detect",), "works", "inference", COUNTS_INBOUND),
    Row("nat-hidden-no-keepalive", LATE, ("proxy-detect",), "rings", "inference", COUNTS_INBOUND),
    Row("nat-hidden-no-keepalive", LATE, ("pbx-nat", "proxy-always"), "works", "inference", SLOW_NAT),
    # Zero bytes keep alive only what counts what comes in.
    Row("none", LATE, ("proxy-detect",), "rings", "inference"),
    Row("none", LATE, ("proxy-detect(ping_kind=options)",), "works", "inference"),
    Row("none", LATE, ("freeswitch",), "rings", "inference"),
    Row("none", "incoming-call", ("pbx-plain",), "rings", "inference"),
    Row("content-length-stale", "incoming-call", ("proxy-detect",), "answered", "seen"),
    Row("content-length-stale", "incoming-call", ("proxy-detect(udp_length=ignore)",), "works", "seen"),
    Row("content-length-stale", "incoming-call", ("pbx-nat", "pbx-plain"), "works", "inference"),
    # Stored, and no call gets there; in pjsip the Contact is lost, the REGISTER a query that is answered 200.
    Row("port-overflow", "register", ("proxy-detect",), "works", "seen"),
    Row("port-overflow", "incoming-call", ("proxy-detect",), "rings", "seen"),
    Row("port-overflow", "register", ("pbx-nat", "pbx-plain"), "registered", "inference"),
    Row("mapping-not-stable", "re-register", ("pbx-plain",), "stays registered", "inference"),
    Row("mapping-not-stable", "re-register", ("pbx-nat", "proxy-detect"), "works", "inference"),
    Row("via-rport-stripped", "register", ("proxy-detect",), "works", "seen"),
    Row("via-rport-stripped", "register", ("proxy-always", "pbx-nat", "pbx-plain"), "works", "inference"),
    Row("via-rport-stripped", "register", ("proxy-plain",), "registered", "seen"),
    Row("via-rport-stripped", "register", ("freeswitch", "trunk"), "registered", "inference"),
    # baresip writes its lifetime behind the Contact, and what runs on in it can't be read.
    Row("contact-glued", "register", ("proxy-detect", "proxy-plain"), "registered", "seen"),
    # It starts no stream without an address of the other side: it does not hear either.
    Row("sdp-lines-eaten(line=c)", "incoming-call", ("proxy-detect",), "callee hears", "seen"),
    Row("none", "incoming-call", (IVOZ,), "works", "inference"),
    Row("sdp-c-only", "outgoing-call", (IVOZ,), "works", "inference"),
    # Zero bytes are no SIP: a router that lets nothing else pass at port 5060 eats them.
    Row("keepalive-crlf-swallowed", LATE, ("proxy-detect",), "rings", "inference", COUNTS_INBOUND),
)
CASES = [(row, server) for row in ROWS for server in row.servers]


@pytest.mark.parametrize(
    ("row", "server"),
    CASES,
    ids=[f"{row.mark}-{row.model}-{row.scenario}-{server}-{row.topology}" for row, server in CASES],
)
def test_a_fault_and_a_kind(row: Row, server: str) -> None:
    spec = TrialSpec(row.topology, row.model, row.scenario, phone="libre", far_phone="libre", server=server)
    assert agreement.first_failed(trials.result(spec)) == row.outcome


def test_a_call_to_a_port_that_udp_does_not_have_is_answered_479() -> None:
    spec = TrialSpec(
        "home", "port-overflow", "incoming-call", phone="libre", far_phone="libre", server="proxy-detect"
    )
    result = trials.result(spec)
    first = next(each for each in result.checks if not each.passed)
    assert (first.name, first.detail) == ("rings", "Unresolvable Destination")


@pytest.mark.parametrize(("setting", "local"), [("reuse", 5060), ("open", 5080)])
def test_how_a_phone_on_tcp_is_reached(setting: str, local: int) -> None:
    server = f"proxy-detect(tcp_connect={setting})"
    spec = TrialSpec("no-nat", "none", "tcp-call", server=server)
    result, trace = run(spec)
    assert result.outcome == "pass"
    sent = {
        each.source
        for each in trace.sip()
        if each.payload.startswith(b"INVITE sip:alice@") and each.source.ip == "198.51.100.10"
    }
    assert sent == {Endpoint("198.51.100.10", local)}


def test_behind_nat_a_connection_that_the_server_opens_does_not_arrive() -> None:
    for setting, outcome in (("reuse", "works"), ("open", "incoming call rings")):
        spec = TrialSpec("home", "none", "tcp-call", server=f"proxy-detect(tcp_connect={setting})")
        assert agreement.first_failed(trials.result(spec)) == outcome


# -- beside the programs themselves ----------------------------------------------------------------------


def test_the_cells_of_real_software() -> None:
    found = agreement.play()
    assert len(found) == 132
    assert sum(lab == cell.real for cell, lab in found) >= agreement.GOAL * len(found)


def test_the_page_explains_the_rest() -> None:
    page = agreement.PAGE.read_text(encoding="utf-8")
    assert agreement.PART.updated(page) == page, "run: python -m tools.agreement --write"
    for cell, lab in agreement.play():
        if lab != cell.real:
            assert f"**`{cell.model}` behind `{cell.config}`" in page


def test_with_the_measured_length_check_all_cells_agree() -> None:
    found = agreement.play("libre", "proxy-detect(udp_length=ignore)")
    assert [(cell, lab) for cell, lab in found if lab != cell.real] == []
