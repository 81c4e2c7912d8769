"""Differences between versions of the kernel's ALG, and vendors' changes.

Facts: vendor-sources, parts 2 and 3. The models' cards name the source files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.exact._linux.kernel import BANDS, NEWEST, of_version
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY
from siplab.alg_models.samples.basic import INCOMING, INVITE, INVITE_OK, REGISTER, REGISTER_OK, SDP
from siplab.alg_models.samples.headers import CHALLENGE
from siplab.alg_models.samples.media import with_body
from siplab.lab.errors import UsageError
from siplab.lab.wire.ip import Endpoint
from tests.alg_models.test_linux import (
    ANOTHER_PORT,
    PUBLIC_RTP,
    RTP,
    STRANGER,
    arrived,
    changed,
    options,
    sent,
    value,
)
from tests.alg_models.test_linux_state import OVER_TCP, Stream

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

CATALOGUE = load(plugins=False)
MEDIA = Endpoint(REGISTRAR.ip, 40000)
PUBLIC_CONTACT = b"Contact: <sip:a@203.0.113.7:61002>"
CONTACT = b"Contact: <sip:a@192.168.1.20:5060>"


def linux(new_line: LineMaker, parameters: str, phone: Endpoint = PHONE) -> Line:
    return new_line(CATALOGUE.get(f"linux({parameters})"), phone=phone)


# -- versions -----------------------------------------------------------------------------------------


def test_a_version_is_that_of_its_band() -> None:
    bounds = [".".join(map(str, first)) for first, _ in BANDS]
    assert [of_version(each) for each in bounds] == [kernel for _, kernel in BANDS]
    assert of_version("2.6.37") == of_version("2.6.34")
    assert of_version("3.10") == of_version("3.7") != of_version("3.10.107")
    assert of_version("6.8") == of_version("5.3") != NEWEST


@pytest.mark.parametrize("version", ["2.6.25", "2.4.20", "7.1", "3", "v4.9", "four", "3.10.x", "-4.9"])
def test_a_version_that_nobody_read_is_refused(version: str) -> None:
    with pytest.raises(UsageError, match="model 'linux', parameter 'kernel': '"):
        CATALOGUE.get(f"linux(kernel={version})")


def test_a_version_is_no_number() -> None:
    assert CATALOGUE.get("linux(kernel=3.10)").parameters["kernel"] == "3.10"
    assert CATALOGUE.get("linux(kernel=3.10)").id == "linux(kernel=3.10)"
    assert (
        CATALOGUE.get("linux(kernel=4.9)").recipe
        == CATALOGUE.get("linux").with_parameters({"kernel": 4.9}).recipe
    )


def test_before_2_6_34_tcp_is_not_looked_at(new_line: LineMaker) -> None:
    assert Stream(linux(new_line, "kernel=2.6.30")).send(OVER_TCP) == (1, OVER_TCP)
    assert Stream(linux(new_line, "kernel=2.6.36")).send(OVER_TCP) != (1, OVER_TCP)


@pytest.mark.parametrize(
    ("version", "fate"),
    [
        ("2.6.36", "passed"),
        ("2.6.39", "dropped"),
        ("3.10", "dropped"),
        ("3.10.107", "passed"),
        ("4.9", "passed"),
    ],
)
def test_a_message_longer_than_its_segment(version: str, fate: str, new_line: LineMaker) -> None:
    half = OVER_TCP.replace(b"Content-Length: 0", b"Content-Length: 9")
    assert half != OVER_TCP
    left = Stream(linux(new_line, f"kernel={version}")).send(half)
    assert (left is None) == (fate == "dropped")


def test_before_2_6_34_fax_is_not_translated(new_line: LineMaker) -> None:
    offer = with_body(INVITE, changed(SDP, (b"m=audio 49170 RTP/AVP 0", b"m=image 49170 udptl t38")))
    for version, address in (("2.6.30", b"192.168.1.20"), ("2.6.36", b"203.0.113.7")):
        line = linux(new_line, f"kernel={version}")
        if version == "2.6.30":
            # This kernel knows no fax: it looks at no stream, and has no address for the session.
            assert arrived_at_fax(line, offer) is None
        else:
            assert b"c=IN IP4 " + address in line.out(offer)
            assert arrived(line, RTP, REGISTRAR, PUBLIC_RTP) is not None


def arrived_at_fax(line: Line, offer: bytes) -> Endpoint | None:
    sent(line, offer)
    return arrived(line, RTP, REGISTRAR, PUBLIC_RTP)


def test_before_2_6_34_a_third_stream_is_left_alone(new_line: LineMaker) -> None:
    streams = (
        SDP
        + b"m=video 49180 RTP/AVP 96\r\nc=IN IP4 192.168.1.20\r\n"
        + b"m=audio 49190 RTP/AVP 0\r\nc=IN IP4 192.168.1.20\r\n"
    )
    left = {
        each: linux(new_line, f"kernel={each}").out(with_body(INVITE, streams))
        for each in ("2.6.30", "2.6.36")
    }
    assert left["2.6.30"].count(b"c=IN IP4 192.168.1.20") == 1
    assert left["2.6.36"].count(b"c=IN IP4 192.168.1.20") == 0


def test_before_2_6_34_an_invite_leaves_what_the_last_one_expected(new_line: LineMaker) -> None:
    other = with_body(INVITE, changed(SDP, (b"49170", b"49180")))
    for version, stays in (("2.6.30", True), ("2.6.36", False)):
        line = linux(new_line, f"kernel={version}")
        line.out(INVITE)
        line.out(other)
        assert (arrived(line, RTP, REGISTRAR, PUBLIC_RTP) is not None) is stays


def test_before_2_6_34_a_refused_invite_without_media_ends_nothing(new_line: LineMaker) -> None:
    late = b"INVITE sip:b@lab.test SIP/2.0\r\nCSeq: 2 INVITE\r\n\r\n"
    refused = b"SIP/2.0 486 Busy Here\r\nCSeq: 2 INVITE\r\n\r\n"
    line = linux(new_line, "kernel=2.6.30")
    line.out(INVITE)
    line.out(late)
    line.back(refused)
    assert arrived(line, RTP, REGISTRAR, PUBLIC_RTP) == Endpoint(PHONE.ip, 49170)


def test_before_2_6_34_a_contact_for_another_transport_counts(new_line: LineMaker) -> None:
    tcp = changed(REGISTER, (b"192.168.1.20:5060>", b"192.168.1.20:5066;transport=tcp>"))
    for version, written in (("2.6.30", b"203.0.113.7:5066"), ("2.6.36", b"192.168.1.20:5066")):
        assert written in value(linux(new_line, f"kernel={version}").out(tcp), b"contact")


def test_before_2_6_34_a_request_uri_needs_a_user(new_line: LineMaker) -> None:
    for version, written in (("2.6.30", b"sip:203.0.113.7:61002"), ("2.6.36", b"sip:192.168.1.20:5060")):
        line = linux(new_line, f"kernel={version}")
        line.out(options())
        assert written in line.back(options(uri=b"sip:203.0.113.7:61002")).split(b"\r\n")[0]
        with_user = line.back(options(uri=b"sip:a@203.0.113.7:61002"))
        assert with_user.startswith(b"OPTIONS sip:a@192.168.1.20:5060")


@pytest.mark.parametrize(
    ("field", "old_too"), [(b"m:sip:a@192.168.1.20:5060", False), (b"m: <sip:a@192.168.1.20:5060>", True)]
)
def test_before_2_6_34_a_compact_name_needs_a_blank(field: bytes, old_too: bool, new_line: LineMaker) -> None:
    assert b"203.0.113.7" in linux(new_line, "kernel=2.6.36").out(options(field))
    assert (b"203.0.113.7" in linux(new_line, "kernel=2.6.30").out(options(field))) is old_too


@pytest.mark.parametrize(("version", "right"), [("3.4", False), ("3.5", True)])
def test_parameters_of_a_via_are_found_from_3_5_on(version: str, right: bool, new_line: LineMaker) -> None:
    """The translated address is two bytes longer, so the search begins two bytes too early or too late."""
    line = linux(new_line, f"kernel={version}", Endpoint("192.168.1.2", 5060))
    line.out(options())
    via = b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport=61002"
    answer = b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n%b\r\n\r\n" % via
    assert (b";rport=5060" in line.back(answer)) or not right


@pytest.mark.parametrize(("version", "forced"), [("3.6", False), ("3.7", True), ("4.9", True)])
def test_answers_are_forced_to_the_port_of_the_via_from_3_7_on(
    version: str, forced: bool, new_line: LineMaker
) -> None:
    phone = PHONE._replace(port=40000)
    line = linux(new_line, f"kernel={version}", phone)
    line.out(REGISTER)
    assert arrived(line, REGISTER_OK) == (PHONE if forced else phone)


@pytest.mark.parametrize(("version", "passes"), [("3.10", False), ("4.4", False), ("4.9", True)])
def test_cseq_0_and_tabs_from_4_9_on(version: str, passes: bool, new_line: LineMaker) -> None:
    line = linux(new_line, f"kernel={version}")
    first = b"REGISTER sip:lab.test SIP/2.0\r\nCSeq: 0 REGISTER\r\n\r\n"
    assert (sent(line, first) is not None) is passes
    assert (sent(line, changed(REGISTER, (b"CSeq: 1", b"CSeq:\t1"))) is not None) is passes


@pytest.mark.parametrize(("version", "one_method"), [("4.4", False), ("4.9", True)])
def test_a_method_is_a_whole_word_from_4_9_on(version: str, one_method: bool, new_line: LineMaker) -> None:
    """INVITEX with a description: old kernels treat it as INVITE and expect its media."""
    line = linux(new_line, f"kernel={version}")
    line.out(changed(INVITE, (b"INVITE sip", b"INVITEX sip")))
    assert (arrived(line, RTP, REGISTRAR, PUBLIC_RTP) is None) is one_method


def test_a_port_that_makes_no_sense_drops_a_registration_up_to_the_newest(new_line: LineMaker) -> None:
    low = changed(REGISTER, (b"192.168.1.20:5060>", b"192.168.1.20:1000>"))
    assert sent(linux(new_line, "kernel=4.9"), low) is None
    assert sent(linux(new_line, "kernel=newest"), low) is not None


# -- by address alone: D-Link (Alpha, 2.6.30), Qualcomm (3.4), TP-Link (WR841N v9, 2.6.31) -----------------


def test_another_port_is_kept(new_line: LineMaker) -> None:
    line = linux(new_line, "kernel=2.6.30,other_port=kept")
    left = line.out(options(b"Contact: <sip:a@192.168.1.20:5070>"))
    assert value(left, b"contact") == b"<sip:a@203.0.113.7:5070>"
    assert arrived(line, INCOMING, target=Endpoint(PUBLIC.ip, 5070)) is None
    assert (
        value(line.back(options(b"Contact: <sip:a@203.0.113.7:5070>")), b"contact")
        == b"<sip:a@192.168.1.20:5070>"
    )


def test_where_ports_are_kept_any_via_is_translated(new_line: LineMaker) -> None:
    """A server's request whose Via names the router. Mainline translates a Via only if it is the sender's."""
    line = linux(new_line, "kernel=2.6.30,other_port=kept")
    line.out(options())
    ours = options(b"Via: SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK1")
    assert value(line.back(ours), b"via") == b"SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1"
    line = linux(new_line, "kernel=2.6.30")
    line.out(options())
    assert value(line.back(ours), b"via") == b"SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK1"


def test_another_port_becomes_the_own_one_of_the_wrong_side(new_line: LineMaker) -> None:
    line = linux(new_line, "kernel=3.4,other_port=own")
    left = line.out(options(b"Contact: <sip:a@192.168.1.20:5070>"))
    assert value(left, b"contact") == b"<sip:a@203.0.113.7:5060>"
    back = line.back(options(b"Contact: <sip:a@203.0.113.7:5070>"))
    assert value(back, b"contact") == b"<sip:a@192.168.1.20:61002>"


TPLINK = "kernel=2.6.31,sip_direct_signalling=false,other_port=pinhole,calls_at_once=true"


def test_a_pinhole_for_another_port(new_line: LineMaker) -> None:
    line = linux(new_line, TPLINK)
    left = line.out(options(b"Contact: <sip:a@192.168.1.20:5070>"))
    assert value(left, b"contact") == b"<sip:a@203.0.113.7:5070>"
    assert arrived(line, INCOMING, STRANGER, Endpoint(PUBLIC.ip, 5070)) == PHONE._replace(port=5070)


def test_anybody_calls_before_the_registrar_agrees(new_line: LineMaker) -> None:
    line = linux(new_line, TPLINK)
    line.out(REGISTER)
    assert arrived(line, INCOMING, STRANGER) == PHONE
    line = linux(new_line, "kernel=2.6.31,sip_direct_signalling=false")
    line.out(REGISTER)
    assert arrived(line, INCOMING, ANOTHER_PORT) is None


@pytest.mark.parametrize("rule", ["kept", "own", "pinhole"])
def test_the_packets_own_port_is_mapped_as_ever(rule: str, new_line: LineMaker) -> None:
    line = linux(new_line, f"kernel=3.4,other_port={rule}")
    assert CONTACT not in line.out(options(CONTACT))
    assert value(line.back(options(PUBLIC_CONTACT)), b"contact") == b"<sip:a@192.168.1.20:5060>"


# -- Broadcom 5.02, kernel 4.1 (Archer AX10) --------------------------------------------------------------


def test_cancel_ends_media_of_every_call(new_line: LineMaker) -> None:
    cancel = b"CANCEL sip:b@lab.test SIP/2.0\r\nCSeq: 1 CANCEL\r\n\r\n"
    for parameters, open_still in (("kernel=4.1", True), ("kernel=4.1,cancel_ends_media=true", False)):
        line = linux(new_line, parameters)
        line.out(INVITE)
        line.out(cancel)
        assert (arrived(line, RTP, REGISTRAR, PUBLIC_RTP) is not None) is open_still


def test_media_that_came_ends_5_s_after_cancel(new_line: LineMaker) -> None:
    cancel = b"CANCEL sip:b@lab.test SIP/2.0\r\nCSeq: 1 CANCEL\r\n\r\n"
    for parameters, after in (("kernel=4.1", True), ("kernel=4.1,cancel_ends_media=true", False)):
        line = linux(new_line, parameters)
        line.out(INVITE)
        assert arrived(line, RTP, MEDIA, PUBLIC_RTP) is not None
        line.out(cancel)
        line.now = 4.0
        assert arrived(line, RTP, MEDIA, PUBLIC_RTP) is not None
        line.now = 10.0
        assert (arrived(line, RTP, MEDIA, PUBLIC_RTP) is not None) is after


# -- kmod-dnisip (Netgear R7500, XR500) -------------------------------------------------------------------


@pytest.fixture
def netgear(new_line: LineMaker) -> Line:
    return new_line(CATALOGUE.get("netgear-dnisip"))


def test_netgear_translates_routes(netgear: Line, new_line: LineMaker) -> None:
    fields = (b"Route: <sip:192.168.1.20:5060;lr>", b"Record-Route: <sip:192.168.1.20:5060;lr>")
    left = netgear.out(options(*fields))
    assert value(left, b"route") == value(left, b"record-route") == b"<sip:203.0.113.7:61002;lr>"
    assert value(linux(new_line, "kernel=2.6.36").out(options(*fields)), b"route") == fields[0][7:]


def test_netgear_lets_answers_in_at_the_port_of_the_via(new_line: LineMaker) -> None:
    phone = PHONE._replace(port=40000)
    line = new_line(CATALOGUE.get("netgear-dnisip"), phone=phone)
    left = line.out(REGISTER)
    assert value(left, b"via").startswith(b"SIP/2.0/UDP 203.0.113.7:5060;")
    at_via = Endpoint(PUBLIC.ip, 5060)
    assert arrived(line, CHALLENGE, STRANGER, at_via) is None
    assert arrived(line, CHALLENGE, ANOTHER_PORT, at_via) == PHONE


def test_netgear_waits_60_s_for_them(new_line: LineMaker) -> None:
    phone = PHONE._replace(port=40000)
    for seconds, comes in ((59.0, True), (61.0, False)):
        line = new_line(CATALOGUE.get("netgear-dnisip"), phone=phone)
        line.out(REGISTER)
        line.now = seconds
        assert (arrived(line, CHALLENGE, REGISTRAR, Endpoint(PUBLIC.ip, 5060)) is not None) is comes


def test_netgear_keeps_that_way_in_when_a_call_ends(new_line: LineMaker) -> None:
    line = new_line(CATALOGUE.get("netgear-dnisip"), phone=PHONE._replace(port=40000))
    line.out(INVITE)
    line.back(INVITE_OK)
    line.out(b"BYE sip:bob@198.51.100.20 SIP/2.0\r\nCSeq: 2 BYE\r\n\r\n")
    assert arrived(line, CHALLENGE, REGISTRAR, Endpoint(PUBLIC.ip, 5060)) == PHONE
    assert arrived(line, RTP, RELAY, PUBLIC_RTP) is None
