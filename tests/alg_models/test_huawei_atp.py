"""The proxy of Huawei's routers, rule by rule.

Facts: Stricted/DT_Hybrid_GPL at b478c9bb, dl/siproxd-dt.tar.gz, src/*.c; vendor-sources 2.3 has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from siplab.alg_models.catalogue import load
from siplab.alg_models.samples.basic import INCOMING, INVITE, INVITE_OK, REGISTER, SDP
from siplab.alg_models.samples.media import with_body
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.wire.sip import SipMessage
from tests.alg_models.test_linux import changed, sent, value

if TYPE_CHECKING:
    from tests.alg_models.conftest import Line, LineMaker

MODEL = load(plugins=False).get("huawei-atp")
OWN = b"SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK"


@pytest.fixture
def line(new_line: LineMaker) -> Line:
    return new_line(MODEL)


def numbered(message: bytes, number: int, call: bytes = b"b95c5d87") -> bytes:
    """An INVITE, or its answer, with another CSeq number, Call-ID and branch."""
    branch = b"branch=z9hG4bK75" if b"z9hG4bK75" in message else b"branch=z9hG4bK"
    return changed(
        message,
        (branch, b"branch=z9hG4bKn%d" % number),
        (b"CSeq: 1 INVITE", b"CSeq: %d INVITE" % number),
        (b"b95c5d87", call),
    )


def vias(message: bytes) -> list[bytes]:
    return [each.value for each in SipMessage.parse(message).all(b"via")]


def test_all_vias_make_room_for_one(registered: Line) -> None:
    second = b"Via: SIP/2.0/UDP 192.168.1.30:5060;branch=z9hG4bK9\r\nMax-Forwards"
    out = registered.out(changed(INVITE, (b"Max-Forwards", second)))
    (own,) = vias(out)
    assert own.startswith(OWN)
    back = registered.back(INVITE_OK)
    assert vias(back) == [
        b"SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK75",
        b"SIP/2.0/UDP 192.168.1.30:5060;branch=z9hG4bK9",
    ]


def test_a_retransmission_has_the_same_branch(registered: Line) -> None:
    assert vias(registered.out(INVITE)) == vias(registered.out(INVITE))


def test_the_last_character_of_a_call_id_does_not_count(registered: Line) -> None:
    registered.out(changed(INVITE, (b"b95c5d87@192.168.1.20", b"b95c5d87A")))
    registered.out(changed(INVITE, (b"b95c5d87@192.168.1.20", b"b95c5d87B"), (b"z9hG4bK75", b"z9hG4bKB")))
    answer = changed(INVITE_OK, (b"b95c5d87@192.168.1.20", b"b95c5d87A"))
    assert vias(registered.back(answer)) == [b"SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bKB"]


def test_without_its_record_an_answer_gets_another_via(registered: Line) -> None:
    registered.out(numbered(INVITE, 1))
    registered.out(numbered(INVITE, 2))
    # For the same call the latest record; for an unknown call the oldest of all, the REGISTER's.
    assert b"branch=z9hG4bKn2" in vias(registered.back(numbered(INVITE_OK, 7)))[0]
    assert b"branch=z9hG4bK74" in vias(registered.back(numbered(INVITE_OK, 1, b"unknown")))[0]


def test_fifty_records_and_no_more(registered: Line) -> None:
    for number in range(1, 51):
        registered.out(numbered(INVITE, number, b"call%d" % number))
    assert b"branch=z9hG4bKn1" in vias(registered.back(numbered(INVITE_OK, 1, b"call1")))[0]
    registered.out(numbered(INVITE, 51, b"call51"))
    assert b"branch=z9hG4bKn2" in vias(registered.back(numbered(INVITE_OK, 1, b"call1")))[0]


@pytest.mark.parametrize(
    "message",
    [
        INVITE,
        changed(REGISTER, (b"<sip:alice@192.168.1.20:5060>", b"*")),
        changed(REGISTER, (b"Contact: ", b"X-Contact: ")),
        b"\r\n\r\n",
    ],
    ids=["not registered", "star", "no Contact", "keep-alive"],
)
def test_what_the_proxy_does_not_pass_on(line: Line, message: bytes) -> None:
    assert sent(line, message) is None


def test_who_has_registered_may_call(registered: Line) -> None:
    out = registered.out(changed(INVITE, (b"Max-Forwards: 70\r\n", b"")))
    assert value(out, b"max-forwards") == b"70"
    assert value(out, b"contact") == b"<sip:alice@203.0.113.7:61002>"
    assert registered.back(INCOMING).startswith(b"INVITE sip:alice@192.168.1.20:5060 ")


def test_its_own_record_route_goes(registered: Line) -> None:
    routes = b"Record-Route: <sip:203.0.113.7:61002;lr>\r\nRecord-Route: <sip:192.0.2.9;lr>\r\nMax-Forwards"
    out = registered.out(changed(INVITE, (b"Max-Forwards", routes)))
    assert [each.value for each in SipMessage.parse(out).all(b"record-route")] == [b"<sip:192.0.2.9;lr>"]


def test_descriptions_name_the_router_in_c_alone(registered: Line) -> None:
    body = registered.out(INVITE).partition(b"\r\n\r\n")[2]
    assert body == changed(
        SDP, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"), (b"m=audio 49170", b"m=audio 7070")
    )
    update = changed(INVITE, (b"INVITE sip", b"UPDATE sip"), (b"1 INVITE", b"2 UPDATE"))
    assert registered.out(update).endswith(SDP)


def test_a_hold_by_zeros_stays(registered: Line) -> None:
    held = changed(SDP, (b"c=IN IP4 192.168.1.20", b"c=IN IP4 0.0.0.0"))
    assert b"c=IN IP4 0.0.0.0\r\n" in registered.out(with_body(INVITE, held))


def test_five_calls_have_media(registered: Line) -> None:
    def port(number: int) -> int:
        offer = changed(SDP, (b"m=audio 49170", b"m=audio %d" % (50000 + 10 * number)))
        out = registered.out(with_body(numbered(INVITE, number, b"call%d" % number), offer))
        return int(out.partition(b"m=audio ")[2].split()[0])

    assert [port(number) for number in range(1, 6)] == [7070, 7072, 7074, 7076, 7078]
    assert port(6) == 50060  # unchanged: nothing is relayed
    bye = changed(numbered(INVITE, 2, b"call2"), (b"INVITE sip", b"BYE sip"), (b"2 INVITE", b"3 BYE"))
    registered.out(with_body(bye, b""))
    registered.now += 70.0
    registered.out(REGISTER)
    assert port(7) == 7072


def test_tcp_does_not_go_by_the_proxy() -> None:
    assert MODEL.policy.transports == {"udp"}
    assert run(TrialSpec("home", "huawei-atp", "tcp-call"))[0].outcome == "pass"
