"""SRTP: the RFC's test vectors, encrypted calls, and what happens if somebody changes the keys."""

from __future__ import annotations

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import CapabilityError
from siplab.lab.media.rtp_sender import RtpSender
from siplab.lab.media.srtp import Opener, Sealer, _keystream
from siplab.lab.media.srtp_keys import crypto_line, read_crypto
from siplab.lab.phone.call import CallState
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtcp import unpack_rtcp
from siplab.lab.wire.rtp import unpack_rtp
from tests.lab.conftest import Datagram, Lab, LabMaker

KEY = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6")
ALICE, BOB = Endpoint("203.0.113.7", 40000), Endpoint("192.0.2.66", 40000)


def hexed(text: str) -> bytes:
    return bytes.fromhex(text.replace(" ", ""))


def talk(new_lab: LabMaker, *filters: object, seconds: float = 4.0, **settings: object) -> Lab:
    both = {"media_packets": None, "srtp": True, **settings}
    lab = new_lab(alice=both, bob=both)
    lab.register()
    lab.net.filters.extend(filters)  # type: ignore[arg-type]
    lab.call()
    lab.net.run(1.0 + seconds)
    return lab


# -- the RFC's test vectors --------------------------------------------------------------------------


def test_the_keystream_is_that_of_rfc_3711() -> None:
    """Appendix B.2."""
    key = hexed("2B7E151628AED2A6ABF7158809CF4F3C")
    counter = int.from_bytes(hexed("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"), "big")
    assert _keystream(key, counter, 32) == hexed(
        "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB"
    )


def test_the_session_keys_are_those_of_rfc_3711() -> None:
    """Appendix B.3."""
    keys = Sealer(KEY)._media
    assert keys.cipher == hexed("C61E7A93744F39EE10734AFE3FF7A087")
    assert keys.salt.to_bytes(14, "big") == hexed("30CBBC08863D8C85D49DB34A9AE1")
    assert keys.auth == hexed("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")


def test_packets_are_sealed_as_other_programs_do_it() -> None:
    """The reference packets of libsrtp's test driver."""
    plain = hexed("800f1234decafbadcafebabe") + b"\xab" * 16
    sealed = hexed("800f1234decafbadcafebabe 4e55dc4ce79978d88ca4d215949d2402 b78d6acc99ea179b8dbb")
    assert Sealer(KEY).packet(plain, 0x1234) == sealed
    assert Opener(KEY).packet(sealed) == plain
    report = hexed("81c8000bcafebabe") + b"\xab" * 16
    sealed = hexed("81c8000bcafebabe 7128035be487b9bdbef89041f977a5a8 80000001 993e08cd54d6c1230798")
    assert Sealer(KEY).report(report) == sealed
    assert Opener(KEY).report(sealed) == report


@given(st.binary(max_size=100))
def test_any_bytes_can_arrive(data: bytes) -> None:
    opener = Opener(KEY)
    assert opener.report(data) is None
    if len(data) >= 12:
        assert opener.packet(data) is None


@given(st.binary(max_size=100))
def test_any_value_of_a_key_line_can_be_read(value: bytes) -> None:
    read_crypto(value)
    read_crypto(b"1 AES_CM_128_HMAC_SHA1_80 inline:" + value)


def test_a_key_line_reads_back() -> None:
    assert read_crypto(crypto_line(7, KEY)[9:-2]) == (7, KEY)
    for other in (b"inline:", b"inline:AAAA", b"inline:" + b"A" * 40 + b"|2^20|1:4", b"other:" + b"A" * 40):
        assert read_crypto(b"1 AES_CM_128_HMAC_SHA1_80 " + other) is None
    assert read_crypto(b"1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40 + b"|2^20") == (1, bytes(30))
    assert read_crypto(b"1 F8_128_HMAC_SHA1_80 inline:" + b"A" * 40) is None


# -- sequence numbers ----------------------------------------------------------------------------------


def sender(sequence: int) -> RtpSender:
    made = RtpSender("audio", ALICE, random.Random(1))
    made._sequence = sequence
    made.sealed = Sealer(KEY).packet
    made.direct(BOB, 0.0)
    return made


def test_packets_open_across_the_wrap() -> None:
    source, opener = sender(0xFFFD), Opener(KEY)
    packets = [source.take() for _ in range(8)]
    for number in (0, 1, 3, 2, 5, 4, 6, 7):
        assert opener.packet(packets[number]) is not None
    assert opener.rejected == 0


@pytest.mark.parametrize("count", [1, 1000, 0xFFFF, 200_000])
def test_a_stretch_that_was_not_carried_changes_nothing(count: int) -> None:
    carried, passed = sender(0xFF00), sender(0xFF00)
    opener = Opener(KEY)
    assert opener.packet(passed.take()) is not None
    assert opener.train(passed.skip(count))
    for _ in range(count + 1):
        carried._advance(1)
    after = passed.take()
    assert after == carried.take()
    assert opener.packet(after) is not None
    assert opener.rejected == 0


def test_a_stretch_counts_for_nothing_where_its_packets_are_not_genuine() -> None:
    source, opener = sender(5), Opener(KEY[::-1])
    assert opener.packet(source.take()) is None
    assert not opener.train(source.skip(10))
    assert opener.rejected == 11


def test_a_report_that_comes_again_is_rejected() -> None:
    sealed = Sealer(KEY).report(hexed("81c8000bcafebabe") + b"\xab" * 16)
    opener = Opener(KEY)
    assert opener.report(sealed) is not None
    assert opener.report(sealed) is None


# -- calls -----------------------------------------------------------------------------------------------


def test_both_hear_what_nobody_else_can_read(new_lab: LabMaker) -> None:
    lab = talk(new_lab)
    for phone in (lab.alice, lab.bob):
        assert phone.calls[-1].rtp_received > 150
        heard = phone.calls[-1].heard["audio"]
        assert list(heard.sound(2.5, 3.0))[5] == phone.config.signal.frame(0)
    media = [each for each in lab.net.log if each.source == ALICE and unpack_rtp(each.payload)]
    assert all(len(each.payload) == 12 + 160 + 10 for each in media)
    assert len({each.payload[12:] for each in media}) == len(media)
    assert b"RTP/SAVP" in lab.net.sent("INVITE")[0].payload


def test_digits_and_reports_are_sealed_too(new_lab: LabMaker) -> None:
    lab = talk(new_lab, seconds=1.0, rtcp="next-port")
    lab.net.do(lab.alice, lab.alice.dial(lab.alice.calls[-1], "42#", lab.net.now))
    lab.net.run(20.0)
    assert lab.bob.calls[-1].digits == ["4", "2", "#"]
    for phone in (lab.alice, lab.bob):
        reporter = phone.calls[-1].media.reporters["audio"]
        assert reporter.reported is not None
        assert reporter.reported.lost == 0
    reports = [each.payload for each in lab.net.log if each.source.port == 40001]
    assert reports
    assert not any((read := unpack_rtcp(each)) and read.cname for each in reports)


def _in_the_body(old: bytes, new: bytes, label: str = "INVITE") -> object:
    def change(datagram: Datagram) -> Datagram:
        if datagram.is_sip and datagram.label == label and old in datagram.payload:
            head, _, body = datagram.payload.partition(b"\r\n\r\n")
            changed = body.replace(old, new)
            size = b"Content-Length: %d"
            head = head.replace(size % len(body), size % len(changed))
            return Datagram(datagram.at, datagram.source, datagram.destination, head + b"\r\n\r\n" + changed)
        return datagram

    return change


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b"RTP/SAVP", b"RTP/AVP", "RTP/SAVP"),
        (b"a=crypto", b"a=x-crypto", "a usable key"),
        (b"AES_CM_128_HMAC_SHA1_80", b"AES_CM_128_HMAC_SHA1_8", "a usable key"),
    ],
)
def test_an_offer_without_a_key_is_refused(new_lab: LabMaker, old: bytes, new: bytes, why: str) -> None:
    lab = talk(new_lab, _in_the_body(old, new))
    call = lab.alice.calls[-1]
    assert (call.state, call.status) == (CallState.FAILED, 488)
    assert any(why in each for each in lab.details(lab.bob, "media-error"))


def test_an_answer_without_a_key_ends_the_call(new_lab: LabMaker) -> None:
    lab = talk(new_lab, _in_the_body(b"a=crypto", b"a=x-crypto", "200 INVITE"))
    assert lab.alice.calls[-1].state is CallState.FAILED
    assert not [each for each in lab.net.log if each.source == ALICE and unpack_rtp(each.payload)]


def test_with_another_key_nothing_is_heard(new_lab: LabMaker) -> None:
    def other_key(datagram: Datagram) -> Datagram:
        at = datagram.payload.find(b"inline:")
        if at < 0 or datagram.label != "INVITE":
            return datagram
        wire = datagram.payload
        letter = b"B" if wire[at + 7 : at + 8] == b"A" else b"A"
        changed = wire[: at + 7] + letter + wire[at + 8 :]
        return Datagram(datagram.at, datagram.source, datagram.destination, changed)

    lab = talk(new_lab, other_key)
    assert lab.alice.calls[-1].rtp_received > 150
    assert lab.bob.calls[-1].state is CallState.ESTABLISHED
    assert lab.bob.calls[-1].rtp_received == 0


def test_a_phone_without_encryption_refuses_it(new_lab: LabMaker) -> None:
    lab = new_lab(alice={"srtp": True}, bob={})
    lab.register()
    lab.call()
    lab.net.run(2.0)
    assert lab.alice.calls[-1].status == 488


@pytest.mark.parametrize(("topology", "model"), [("home", "none"), ("home", "correct"), ("no-nat", "none")])
def test_an_encrypted_call_is_heard_through_the_router(topology: str, model: str) -> None:
    result, _ = trial.run(TrialSpec(topology, model, "srtp-call"))
    assert result.outcome == "pass"


def test_without_the_package_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(CapabilityError, match=r"siplab\[srtp\]"):
        trial.run(TrialSpec("home", "none", "srtp-call"))
