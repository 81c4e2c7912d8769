"""RTCP: what reports say, where they go, and what happens to them behind routers."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.pairs import STRICT
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.media.rtcp import Jitter, Reporter
from siplab.lab.phone.phone import Phone
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtcp import Compound, ReportBlock, SenderInfo, pack_rtcp, unpack_rtcp
from tests.lab.conftest import Datagram, Lab, LabMaker

ALICE, BOB = Endpoint("203.0.113.7", 40001), Endpoint("192.0.2.66", 40001)
word = st.integers(0, 2**32 - 1)
blocks = st.builds(
    ReportBlock, word, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), word, word, word, word
)


def talking(new_lab: LabMaker, seconds: float = 30.0, **settings: dict[str, object]) -> Lab:
    both: dict[str, object] = {"media_packets": None, "rtcp": "next-port"}
    lab = new_lab(
        alice=both | settings.get("alice", {}), bob=both | settings.get("bob", {}), server=None, seed=1
    )
    lab.register()
    lab.call()
    lab.net.run(lab.net.now + 1.0 + seconds)
    return lab


def reporter(phone: Phone) -> Reporter:
    return phone.calls[-1].media.reporters["audio"]


def reports(lab: Lab, source: Endpoint) -> list[Datagram]:
    return [each for each in lab.net.log if each.source == source and unpack_rtcp(each.payload) is not None]


# -- the wire --------------------------------------------------------------------------------------


@given(
    st.builds(
        Compound,
        word,
        st.none() | st.builds(SenderInfo, st.integers(0, 2**64 - 1), word, word, word),
        st.lists(blocks, max_size=31).map(tuple),
        st.binary(min_size=1, max_size=255),
        st.booleans(),
    )
)
def test_what_is_packed_reads_back(compound: Compound) -> None:
    wire = pack_rtcp(compound)
    assert len(wire) % 4 == 0
    assert unpack_rtcp(wire) == compound


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda rest: b"\x81\xc8\x00\x0c" + rest))
def test_any_bytes_can_be_read(data: bytes) -> None:
    unpack_rtcp(data)


def test_a_cut_compound_is_none() -> None:
    wire = pack_rtcp(Compound(1, None, (), b"alice@203.0.113.7"))
    assert [unpack_rtcp(wire[:length]) for length in range(9, len(wire))] == [None] * (len(wire) - 9)


# -- what reports say --------------------------------------------------------------------------------


def test_a_sender_says_how_much_it_sent_until_then(new_lab: LabMaker) -> None:
    lab = talking(new_lab)
    begin = lab.alice.calls[-1].established_at
    assert begin is not None
    found = reports(lab, ALICE)
    assert len(found) > 4
    for each in found:
        compound = unpack_rtcp(each.payload)
        assert compound is not None
        assert compound.sender is not None
        media = [other for other in lab.net.log if other.source.port == 40000 and other.at <= each.at]
        sent = sum(other.source.ip == ALICE.ip for other in media)
        assert compound.sender.packets == sent
        assert compound.sender.octets == 160 * sent
        assert compound.cname == b"alice@203.0.113.7"
        # The RTP timestamp belongs to the same moment (RFC 3550 section 6.4.1).
        mine = [other for other in media if other.source.ip == ALICE.ip]
        first = int.from_bytes(mine[0].payload[4:8], "big")
        assert (compound.sender.rtp - first) % 2**32 == pytest.approx(8000 * (each.at - begin), abs=1)


def test_digits_count_among_what_was_sent(new_lab: LabMaker) -> None:
    lab = talking(new_lab, 2.0)
    lab.net.do(lab.alice, lab.alice.dial(lab.alice.calls[-1], "12", lab.net.now))
    lab.net.run(30.0)
    at, compound = _compounds(lab, ALICE)[-1]
    media = [
        each.payload for each in lab.net.log if each.source == Endpoint(ALICE.ip, 40000) and each.at <= at
    ]
    assert any(payload[1] & 0x7F == 101 for payload in media)
    assert compound.sender is not None
    assert compound.sender.packets == len(media)
    assert compound.sender.octets == sum(len(payload) - 12 for payload in media)


def test_reports_come_every_five_seconds_or_so(new_lab: LabMaker) -> None:
    lab = talking(new_lab, 150)
    times = [each.at for each in reports(lab, BOB)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert min(gaps) >= 0.5 * 5 / 1.2183
    assert max(gaps) <= 1.5 * 5 / 1.2182
    assert len(set(gaps)) > 10


def test_loss_is_reported_to_who_sends(new_lab: LabMaker) -> None:
    lab = new_lab(
        alice={"media_packets": None, "rtcp": "next-port"}, bob={"media_packets": None, "rtcp": "next-port"}
    )
    lab.register()
    count = 0

    def every_fourth(datagram: Datagram) -> Datagram | None:
        nonlocal count
        if datagram.source != Endpoint(ALICE.ip, 40000):
            return datagram
        count += 1
        return None if count % 4 == 0 else datagram

    lab.net.filters.append(every_fourth)
    lab.call()
    lab.net.run(30.0)
    block = reporter(lab.alice).reported
    assert block is not None
    assert block.fraction == pytest.approx(64, abs=2)
    assert block.lost == pytest.approx(lab.alice.calls[-1].rtp_sent / 4, rel=0.3)
    other = reporter(lab.bob).reported
    assert other is not None
    assert (other.fraction, other.lost) == (0, 0)


def test_a_report_says_how_long_ago_it_heard_the_other_one(new_lab: LabMaker) -> None:
    lab = talking(new_lab)
    sent = {each.sender.ntp >> 16 & 0xFFFFFFFF: at for at, each in _compounds(lab, ALICE) if each.sender}
    named = 0
    for at, compound in _compounds(lab, BOB):
        for block in compound.blocks:
            if block.last_sr:
                named += 1
                assert block.delay / 65536 == pytest.approx(at - sent[block.last_sr], abs=0.001)
    assert named > 3


def _compounds(lab: Lab, source: Endpoint) -> list[tuple[float, Compound]]:
    read = [(each.at, unpack_rtcp(each.payload)) for each in reports(lab, source)]
    return [(at, compound) for at, compound in read if compound is not None]


def test_the_end_of_the_call_is_a_goodbye(new_lab: LabMaker) -> None:
    lab = talking(new_lab)
    lab.hang_up(lab.alice)
    lab.net.run(lab.net.now + 20)
    last = [unpack_rtcp(reports(lab, each)[-1].payload) for each in (ALICE, BOB)]
    assert all(each is not None and each.bye for each in last)
    assert max(each.at for each in reports(lab, ALICE)) < lab.net.now - 10


def test_who_sends_no_media_sends_receiver_reports(new_lab: LabMaker) -> None:
    lab = talking(new_lab, alice={"media_packets": 100})
    latest = _compounds(lab, ALICE)[-1][1]
    assert latest.sender is None
    assert latest.blocks
    assert _compounds(lab, BOB)[-1][1].sender is not None


def test_jitter_is_that_of_the_rfc() -> None:
    rng, jitter = random.Random(1), Jitter(8000)
    expected, transit = 0.0, None
    for number in range(500):
        now = number * 0.02 + rng.randrange(0, 400) / 8000
        jitter.packet(number * 160, now)
        this = round(now * 8000) - number * 160
        if transit is not None:
            expected += (abs(this - transit) - expected) / 16  # RFC 3550 section 6.4.1
        transit = this
    assert jitter.value == pytest.approx(expected, abs=1)
    jitter.even(1000)
    assert jitter.value == 0


# -- where they go -----------------------------------------------------------------------------------


def test_without_the_setting_there_are_none(new_lab: LabMaker) -> None:
    lab = talking(new_lab, alice={"rtcp": ""}, bob={"rtcp": ""})
    assert not any(unpack_rtcp(each.payload) for each in lab.net.log)
    assert not any(b"rtcp" in each.payload for each in lab.net.log)


def test_the_announced_port_is_used(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"media_packets": None, "rtcp": "announced"}, bob={"rtcp": "next-port"})
    lab.register()

    def elsewhere(datagram: Datagram) -> Datagram:
        old = b"a=rtcp:40001 IN IP4 203.0.113.7"
        return (
            datagram.with_(old, b"a=rtcp:40777 IN IP4 203.0.113.9") if old in datagram.payload else datagram
        )

    lab.net.filters.append(elsewhere)
    lab.call()
    lab.net.run(20.0)
    assert {each.destination for each in reports(lab, BOB)} == {Endpoint("203.0.113.9", 40777)}
    assert reporter(lab.alice).received == 0
    assert reporter(lab.bob).received > 0


@pytest.mark.parametrize(("bobs", "port"), [("mux", 40000), ("next-port", 40001), ("announced", 40001)])
def test_reports_share_the_media_port_where_both_say_so(new_lab: LabMaker, bobs: str, port: int) -> None:
    lab = talking(new_lab, alice={"rtcp": "mux"}, bob={"rtcp": bobs})
    assert {each.destination.port for each in lab.net.log if unpack_rtcp(each.payload)} == {port}
    for phone in (lab.alice, lab.bob):
        assert reporter(phone).received > 3
        assert reporter(phone).reported is not None
    answer = next(each for each in lab.net.sent("200 INVITE"))
    assert (b"a=rtcp-mux\r\n" in answer.payload) == (bobs == "mux")


def test_a_phone_believes_a_description_that_its_media_agree_with(new_lab: LabMaker) -> None:
    """A phone that latches media latches reports, too. Other phones show a wrong a=rtcp."""
    result, _ = trial.run(TrialSpec("home", "none", "rtcp").between(STRICT))
    assert result.outcome == "pass"
    for model in ("sdp-rtcp-attr-stale", "sdp-rtcp-attr-stale(part=port)", "linux"):
        result, _ = trial.run(TrialSpec("home", model, "rtcp").between(STRICT))
        assert [check.name for check in result.checks if not check.passed] == ["caller gets reports"]
        for port in ("mux", "next-port"):
            result, _ = trial.run(TrialSpec("home", model, f"rtcp(port={port})").between(STRICT))
            assert result.outcome == "pass"


def test_a_missing_pinhole_shows() -> None:
    """This router opens a pinhole for RTP, and none for RTCP."""
    for port in ("announced", "next-port"):
        result, _ = trial.run(
            TrialSpec("home", "broadcom(spare_via=false)", f"rtcp(port={port})").between(STRICT)
        )
        assert [check.name for check in result.checks if not check.passed] == ["caller gets reports"]


def test_the_stream_report_counts_them() -> None:
    result, _ = trial.run(TrialSpec("home", "correct", "rtcp").between(STRICT))
    alice, bob = result.media
    # The RTCP BYE of the called side may come after the router has closed the pinhole.
    assert alice.rtcp_sent - 1 <= bob.rtcp_received <= alice.rtcp_sent
    assert bob.rtcp_sent - 1 <= alice.rtcp_received <= bob.rtcp_sent
    assert alice.rtcp_sent > 4
