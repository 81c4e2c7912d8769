"""What is taken for evidence of a real phone: its SIP, its words, and the sound that it recorded."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.experiments.programs.endpoints.control import Printed
from siplab.experiments.programs.endpoints.recording import Arrivals, Ear, Files, Listener
from siplab.experiments.programs.endpoints.rtpengine import (
    RelayCounters,
    bencoded,
    debencoded,
    packets_from_others,
)
from siplab.experiments.programs.endpoints.sip_view import SipView, unconfirmed
from siplab.experiments.programs.process import Process
from siplab.lab.media.audio import tone
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import RtpHeader, pack_rtp
from siplab.lab.worlds.trace import Received, Sent, Trace

HERE, THERE = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)


def message(start: str, cseq: str, call_id: str = "a@b") -> bytes:
    return f"{start}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n".encode()


OK = message("SIP/2.0 200 OK", "1 INVITE")
ACK = message("ACK sip:a@192.168.1.102 SIP/2.0", "1 ACK")


def seen(*rows: tuple[float, bool, bytes]) -> SipView:
    trace = Trace()
    for now, leaving, payload in rows:
        trace.add((Sent if leaving else Received)(now, "phone", HERE, THERE, payload))
    view = SipView(trace, "phone", 5060)
    view.update()
    return view


def test_a_call_whose_200_was_acknowledged_goes_on() -> None:
    view = seen((1.0, True, OK), (1.02, False, ACK))
    assert unconfirmed(view.seen, 0.5, 5.2) == ""


def test_a_200_that_is_repeated_until_the_ack_comes_is_no_fault() -> None:
    view = seen((1.0, True, OK), (1.5, True, OK), (2.5, True, OK), (2.6, False, ACK))
    assert unconfirmed(view.seen, 0.5, 5.2) == ""


def test_a_200_that_is_still_repeated_tells_that_the_call_will_end() -> None:
    """An ACK that the phone does not take for its own is none."""
    view = seen((1.0, True, OK), (1.02, False, ACK), (1.5, True, OK), (2.5, True, OK), (4.5, True, OK))
    assert "still repeated 3.5 s" in unconfirmed(view.seen, 0.5, 5.2)


def test_a_200_without_any_ack_tells_it_too() -> None:
    assert "no ACK has come" in unconfirmed(seen((1.0, True, OK)).seen, 0.5, 5.2)


def test_what_another_program_on_the_host_says_is_none_of_ours() -> None:
    trace = Trace()
    trace.add(Sent(1.0, "phone", Endpoint(HERE.ip, 5070), THERE, OK))
    trace.add(Sent(1.0, "other", HERE, THERE, OK))
    trace.add(Sent(1.0, "phone", HERE, THERE, b"\r\n\r\n"))
    assert SipView(trace, "phone", 5060).update() == []


def wave(frequency: int, seconds: float, level: int = 8000) -> bytes:
    count = int(8000 * seconds)
    return struct.pack(
        f"<{count}h", *(int(level * math.sin(2 * math.pi * frequency * at / 8000)) for at in range(count))
    )


def test_only_the_others_tone_counts_and_at_its_time(tmp_path: Path) -> None:
    ear = Ear([620])
    files = Files(tmp_path, "heard-*.wav", ear)
    path = tmp_path / "heard-1.wav"
    path.write_bytes(bytes(44) + wave(440, 1.0))
    files.poll(1.0)
    assert ear.heard.received == 0  # its own tone came back
    with path.open("ab") as file:
        file.write(wave(620, 1.0))
    files.poll(2.0)
    with path.open("ab") as file:
        file.write(bytes(32000))
    files.poll(4.0)
    assert ear.heard.between(0.0, 5.0) == 50
    assert ear.heard.silences(1.0, 2.0) == []
    assert ear.heard.silences(1.0, 4.0) == [(2.0, 4.0)]


def test_a_recording_of_another_rate(tmp_path: Path) -> None:
    ear = Ear([620])
    rate = 48000
    samples = [int(8000 * math.sin(2 * math.pi * 620 * at / rate)) for at in range(rate)]
    header = b"RIFF" + bytes(18) + struct.pack("<HI", 2, rate) + bytes(16)
    (tmp_path / "heard.wav").write_bytes(
        header + b"".join(struct.pack("<hh", each, each) for each in samples)
    )
    Files(tmp_path, "heard.wav", ear).poll(1.0)
    assert ear.heard.between(0.0, 1.0) == 50


def test_a_recording_that_ends_with_a_change_of_the_call_is_replaced_by_what_arrives(tmp_path: Path) -> None:
    trace, ear = Trace(), Ear([620])
    (tmp_path / "heard.wav").write_bytes(bytes(44) + wave(620, 0.2))
    arrivals = Arrivals(trace, "phone", range(49170, 49200), ear)
    listener = Listener(Files(tmp_path, "*.wav", ear), arrivals, until_change=True)

    def packets(first: int, frequency: int) -> None:
        for number in range(first, first + 10):
            header = RtpHeader(0, False, number, 160 * number, 1)
            frame = pack_rtp(header, tone(frequency).frame(number))
            trace.add(Received(1 + number * 0.02, "phone", Endpoint(HERE.ip, 49170), THERE, frame))

    packets(0, 620)
    listener.poll(1.2)
    assert ear.heard.received == 10  # by the recording alone
    listener.change()
    packets(10, 620)
    packets(20, 440)
    listener.poll(1.6)
    assert ear.heard.received == 20

    # Ten more bytes are what SRTP adds: nobody finds a tone in there. Others are no frame of 20 ms.
    for number, more in enumerate((10, 10, 7, 200)):
        frame = pack_rtp(RtpHeader(0, False, number, 160 * number, 1), bytes(160 + more))
        trace.add(Received(2 + number * 0.02, "phone", Endpoint(HERE.ip, 49170), THERE, frame))
    listener.poll(2.1)
    assert ear.heard.received == 22


def test_of_what_nobody_decodes_as_much_counts_as_the_relay_has_had() -> None:
    trace, ear = Trace(), Ear([620])
    for number in range(10):
        frame = pack_rtp(RtpHeader(8, False, number, 160 * number, 1), bytes(160))
        trace.add(Received(1 + number * 0.02, "phone", Endpoint(HERE.ip, 49170), THERE, frame))
    relay = _Relay()
    arrivals = Arrivals(trace, "phone", range(49170, 49200), ear)
    listener = Listener(None, arrivals, until_change=False, relay=cast(RelayCounters, relay))
    for total, heard in ((0, 0), (4, 4), (4, 4), (30, 10)):
        relay.total = total
        listener.poll(2.0)
        assert ear.heard.received == heard


class _Relay:
    """What ``Listener`` asks of the counters."""

    total = 0

    def poll(self, now: float) -> None:
        pass


def test_rtpengines_answer_tells_what_others_have_sent() -> None:
    def side(packets: int) -> bytes:
        rtp, rtcp = (
            b"d5:flagsl%d:%se5:statsd7:packetsi%deee" % (len(kind), kind, count)
            for kind, count in ((b"RTP", packets), (b"RTCP", 5))
        )
        return b"d6:mediasld7:streamsl%s%seeee" % (rtp, rtcp)

    answer = debencoded(b"d6:result2:ok4:tagsd1:a%s1:b%see" % (side(70), side(30)))
    assert packets_from_others(answer, {b"a"}) == 30
    assert packets_from_others(answer, {b"b"}) == 70
    assert packets_from_others(debencoded(b"d6:result5:errore"), {b"a"}) == 0
    assert bencoded({"command": "query", "call-id": "x"}) == b"d7:call-id1:x7:command5:querye"


@given(st.binary() | st.text("dlie0123456789:-a").map(str.encode))
def test_an_answer_that_makes_no_sense_tells_nothing(data: bytes) -> None:
    try:
        answer = debencoded(data)
    except ValueError:
        return
    assert packets_from_others(answer, ()) == 0


class _Process:
    """What ``Printed`` asks of a process."""

    def __init__(self) -> None:
        self.stdout = self.stderr = b""

    def drain(self) -> None:
        pass


def test_a_line_counts_once_and_only_when_it_is_whole() -> None:
    process = _Process()
    printed = Printed(cast(Process, process), {"registered": "200 OK", "closed": "ended"})
    process.stdout = b"{0/UDP/v4} 200 O"
    assert printed.poll() == []
    process.stdout += b"K (server)\nCall 1 "
    assert [each.kind for each in printed.poll()] == ["registered"]
    process.stderr = b"\xff ended\n"
    assert [each.kind for each in printed.poll()] == ["closed"]
    assert printed.poll() == []


@pytest.mark.parametrize(
    "damage", [b"", b"5", b"5:", b"x:y,", b"3:{},", b"2:{},", b"4:[1],,", b"99999999999:a"]
)
def test_words_of_a_control_channel_that_make_no_sense_tell_nothing(damage: bytes) -> None:
    from siplab.experiments.programs.endpoints.control import Netstrings

    words = Netstrings()
    assert [each for each in words.feed(damage) if "type" in each] == []


def test_words_of_a_control_channel_arrive_in_pieces() -> None:
    from siplab.experiments.programs.endpoints.control import Netstrings

    text = json.dumps({"type": "CALL_CLOSED", "id": "1"}).encode()
    words = Netstrings()
    whole = b"%d:%s," % (len(text), text) * 2
    found = [each for at in range(len(whole)) for each in words.feed(whole[at : at + 1])]
    assert [each["type"] for each in found] == ["CALL_CLOSED", "CALL_CLOSED"]
