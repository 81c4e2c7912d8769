"""ICE: candidates, checks, the selected pair, and what routers do to ICE."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.media import ice_messages, stun
from siplab.lab.media.ice import IceStream
from siplab.lab.media.ice_candidates import Candidate, candidate_line, priority, read_candidate
from siplab.lab.media.ice_messages import Check
from siplab.lab.phone.phone import Phone
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.trace import Sent
from tests.lab.conftest import Datagram, Lab, make_lab

ALICE, BOB = Endpoint("203.0.113.7", 40000), Endpoint("192.0.2.66", 40000)
# RFC 5769 section 2.1.
RFC_5769 = bytes.fromhex(
    "00010058 2112a442 b7e7a701bc34d686fa87dfae 80220010 5354554e207465737420636c69656e74"
    "00240004 6e0001ff 80290008 932ff9b151263b36 00060009 6576746a3a68367659202020"
    "00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf"
)
PASSWORD = b"VOkJxbRl1RmTxUk/WvJxBt"


def stream(phone: Phone) -> IceStream:
    return phone.calls[-1].media.ice["audio"]


def called(
    alice: str = "full", bob: str = "full", *filters: object, seconds: float = 5.0, **more: object
) -> Lab:
    lab = make_lab(
        alice={"media_packets": None, "ice": alice, **more}, bob={"media_packets": None, "ice": bob, **more}
    )
    lab.register()
    lab.net.filters.extend(filters)  # type: ignore[arg-type]
    lab.call()
    lab.net.run(seconds)
    return lab


def is_check(payload: bytes) -> bool:
    return ice_messages.is_stun(payload) and payload[:2] == b"\0\1"


def checks(lab: Lab, source: Endpoint) -> list[Datagram]:
    return [each for each in lab.net.log if each.source == source and is_check(each.payload)]


def nominating(lab: Lab, source: Endpoint, receiver: IceStream) -> list[bool]:
    """For each check from ``source``: whether it nominates."""
    read = [ice_messages.read_check(each.payload, receiver.password) for each in checks(lab, source)]
    return [each.use for each in read if each is not None]


# -- the wire ----------------------------------------------------------------------------------------


def test_the_sample_of_rfc_5769_is_genuine() -> None:
    assert ice_messages.is_stun(RFC_5769)
    assert ice_messages.read_check(RFC_5769, PASSWORD) == Check(b"evtj:h6vY", 0x6E0001FF, use=False)
    assert ice_messages.read_check(RFC_5769, b"another") is None


def test_a_changed_byte_is_noticed() -> None:
    for at in range(20, len(RFC_5769) - 8):
        damaged = RFC_5769[:at] + bytes([RFC_5769[at] ^ 1]) + RFC_5769[at + 1 :]
        assert ice_messages.read_check(damaged, PASSWORD) is None


@given(st.binary(min_size=1, max_size=40), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_a_check_reads_back_and_is_answered(name: bytes, rank: int, use: bool, controlling: bool) -> None:
    said = Check(name, rank, use)
    wire = ice_messages.check(bytes(12), b"secret", said, controlling=controlling, tie_breaker=7)
    assert len(wire) == 20 + int.from_bytes(wire[2:4], "big")
    assert ice_messages.read_check(wire, b"secret") == said
    reply = ice_messages.answer(wire, ALICE, b"secret")
    assert ice_messages.is_genuine(reply, b"secret")
    assert stun.mapped(reply, bytes(12)) == ALICE


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda rest: RFC_5769[:20] + rest))
def test_any_bytes_can_arrive_on_the_media_port(data: bytes) -> None:
    lab = make_lab(alice={"ice": "full"}, bob={"ice": "full"})
    lab.register()
    lab.call()
    lab.net.run(2.0)
    lab.net.inject(data, Endpoint("192.0.2.99", 7), ALICE)
    assert stream(lab.alice).selected == BOB


def test_candidates_read_back() -> None:
    made = Candidate(b"2", priority("srflx"), ALICE, "srflx", Endpoint("192.168.1.20", 40000))
    line = candidate_line(made)
    assert line == (
        b"a=candidate:2 1 UDP 1694498815 203.0.113.7 40000 typ srflx raddr 192.168.1.20 rport 40000\r\n"
    )
    assert read_candidate(line[12:-2]) == made._replace(related=None)


@pytest.mark.parametrize(
    "value",
    [
        b"1 2 UDP 1 192.0.2.1 5 typ host",
        b"1 1 TCP 1 192.0.2.1 5 typ host",
        b"1 1 UDP x 192.0.2.1 5 typ host",
        b"1 1 UDP 1 host.test 5 typ host",
        b"1 1 UDP 1 192.0.2.1 70000 typ host",
        b"1 1 UDP 1 192.0.2.1 5 typ other",
        b"1 1 UDP 1 192.0.2.1 5",
        b"",
    ],
)
def test_what_is_no_candidate_of_use_is_left_out(value: bytes) -> None:
    assert read_candidate(value) is None


@given(st.binary(max_size=80))
def test_any_value_of_a_candidate_can_be_read(value: bytes) -> None:
    read_candidate(value)


# -- checks --------------------------------------------------------------------------------------------


def test_both_sides_select_the_same_pair_and_talk() -> None:
    lab = called()
    assert (stream(lab.alice).selected, stream(lab.bob).selected) == (BOB, ALICE)
    for phone in (lab.alice, lab.bob):
        assert phone.calls[-1].rtp_received > 150
    assert True in nominating(lab, ALICE, stream(lab.bob))
    assert True not in nominating(lab, BOB, stream(lab.alice))


def test_what_was_selected_ends_the_checks_of_other_pairs() -> None:
    _, trace = trial.run(TrialSpec("home", "none", "ice-call"))
    stuns = [each.now for each in trace.records if isinstance(each, Sent) and is_check(each.payload)]
    assert len(stuns) < 15
    assert max(stuns) < 3.0


def test_a_lite_agent_only_answers() -> None:
    lab = called(bob="lite")
    assert checks(lab, BOB) == []
    assert (stream(lab.alice).selected, stream(lab.bob).selected) == (BOB, ALICE)
    assert b"a=ice-lite\r\n" in lab.net.sent("200 INVITE")[0].payload
    assert lab.bob.calls[-1].rtp_received > 150


def test_who_is_full_controls_where_the_caller_is_lite() -> None:
    lab = called(alice="lite")
    assert checks(lab, ALICE) == []
    assert (stream(lab.alice).selected, stream(lab.bob).selected) == (BOB, ALICE)
    assert lab.alice.calls[-1].rtp_received > 150


@pytest.mark.parametrize(("alice", "bob"), [("full", ""), ("", "full"), ("", "")])
def test_where_one_side_has_none_the_description_counts(alice: str, bob: str) -> None:
    lab = called(alice, bob)
    for phone in (lab.alice, lab.bob):
        assert not phone.calls[-1].media.uses_ice("audio")
        assert phone.calls[-1].rtp_received > 150
    assert checks(lab, ALICE) == checks(lab, BOB) == []


def test_no_media_before_a_way_is_known_to_work() -> None:
    def no_checks(datagram: Datagram) -> Datagram | None:
        return None if ice_messages.is_stun(datagram.payload) else datagram

    lab = called("full", "full", no_checks, seconds=60.0)
    assert [each for each in lab.net.log if each.label == "RTP" and each.payload[0] == 0x80] == []
    assert stream(lab.alice).failed
    assert "ice-failed" in lab.kinds(lab.alice)
    # One check with seven transmissions (RFC 8489 section 6.2.1): after 0.5 s, then with doubling intervals.
    times = [each.at for each in checks(lab, ALICE)]
    gaps = [round(b - a, 3) for a, b in pairwise(times)]
    assert gaps == [0.5, 1, 2, 4, 8, 16]


def test_checks_end_where_no_answer_is_ever_genuine() -> None:
    """Both sides start more checks with each check that comes; this must end."""

    def unanswered(datagram: Datagram) -> Datagram | None:
        is_answer = ice_messages.is_stun(datagram.payload) and datagram.payload[:2] == b"\1\1"
        return None if is_answer else datagram

    lab = called("full", "full", unanswered, seconds=120.0)
    assert stream(lab.alice).path is None
    assert len(checks(lab, ALICE)) < 100
    assert max(each.at for each in checks(lab, ALICE)) < 100


def test_an_answer_from_elsewhere_proves_no_way() -> None:
    """RFC 8445 section 7.2.5.2.1."""
    other = Endpoint("192.0.2.77", 40000)

    def asymmetric(datagram: Datagram) -> Datagram:
        if ice_messages.is_stun(datagram.payload) and datagram.payload[:2] == b"\1\1":
            return Datagram(datagram.at, other, datagram.destination, datagram.payload)
        return datagram

    lab = called("full", "full", asymmetric)
    assert stream(lab.alice).path is None
    assert stream(lab.alice).failed
    assert lab.alice.calls[-1].rtp_sent == 0


def test_a_lost_check_is_repeated() -> None:
    lost: list[Datagram] = []

    def first_ones(datagram: Datagram) -> Datagram | None:
        if ice_messages.is_stun(datagram.payload) and len(lost) < 3:
            lost.append(datagram)
            return None
        return datagram

    lab = called("full", "full", first_ones)
    assert len(lost) == 3
    assert (stream(lab.alice).selected, stream(lab.bob).selected) == (BOB, ALICE)


def test_an_unknown_source_becomes_a_candidate() -> None:
    """With address-dependent mapping, the NAT gives the media port an endpoint that was not offered."""
    seen = Endpoint("203.0.113.200", 61000)

    def nat(datagram: Datagram) -> Datagram | None:
        if datagram.source == ALICE:
            return Datagram(datagram.at, seen, datagram.destination, datagram.payload)
        if datagram.destination == ALICE:
            return None  # the host can be reached only through the mapping
        if datagram.destination == seen:
            return Datagram(datagram.at, datagram.source, ALICE, datagram.payload)
        return datagram

    lab = called("full", "full", nat)
    assert (stream(lab.alice).selected, stream(lab.bob).selected) == (BOB, seen)
    assert lab.alice.calls[-1].rtp_received > 150


def test_a_check_with_other_credentials_has_no_effect() -> None:
    lab = called(seconds=2.0)
    before = len(lab.net.log)
    said = Check(stream(lab.alice).ufrag + b":evil", 1, use=True)
    wire = ice_messages.check(bytes(12), b"guessed", said, controlling=False, tie_breaker=1)
    lab.net.inject(wire, Endpoint("192.0.2.99", 7), ALICE)
    assert len(lab.net.log) == before
    assert "ice-refused" in lab.kinds(lab.alice)
    assert stream(lab.alice).selected == BOB


def test_hold_and_resume_keep_the_way() -> None:
    lab = called()
    call = lab.alice.calls[-1]
    for how in ("sendonly", ""):
        call.hold(lab.net.now, how)
        lab.net.do(lab.alice, lab.alice.layer.flush())
        lab.net.run(lab.net.now + 2)
    before = len(checks(lab, ALICE))
    heard = call.rtp_received
    lab.net.run(lab.net.now + 2)
    assert len(checks(lab, ALICE)) == before
    assert call.rtp_received - heard == pytest.approx(100, abs=2)
    assert stream(lab.alice).selected == BOB


def test_reports_travel_with_the_media() -> None:
    lab = called(seconds=20.0, rtcp="mux")
    for phone in (lab.alice, lab.bob):
        assert phone.calls[-1].media.reporters["audio"].reported is not None


# -- behind routers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", ["home", "double-nat", "nat-symmetric", "cgnat", "nat-restricted-cone"])
@pytest.mark.parametrize("far", ["full", "lite"])
@pytest.mark.parametrize("model", ["none", "correct"])
def test_it_finds_its_way_through(topology: str, far: str, model: str) -> None:
    result, _ = trial.run(TrialSpec(topology, model, f"ice-call(far={far})"))
    assert [check.name for check in result.checks if not check.passed] == []


@pytest.mark.parametrize("model", ["sdp-ice-mangled", "sdp-ice-mangled(candidates=address-only)", "linux"])
def test_a_default_address_that_is_no_candidate_ends_it(model: str) -> None:
    result, trace = trial.run(TrialSpec("home", model, "ice-call").between(STRICT))
    failed = [check.name for check in result.checks if not check.passed]
    assert failed == ["callee uses ICE", "caller uses ICE"]
    answers = [each for each in trace.sip() if b"a=ice-mismatch" in each.payload]
    assert answers
    assert not any(b"a=candidate" in each.payload for each in answers)


def test_the_generator_alone_makes_the_credentials() -> None:
    one, other = called(seconds=1.5), called(seconds=1.5)
    assert stream(one.alice).password == stream(other.alice).password
    assert stream(one.alice).password != stream(one.bob).password
