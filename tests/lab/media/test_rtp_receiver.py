"""What a receiver hears: packet counts, stretches, silences, sound."""

from __future__ import annotations

import random
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.lab.errors import UsageError
from siplab.lab.media import audio
from siplab.lab.media.audio import from_wav, mix, strength, tone, write_wav
from siplab.lab.media.rtp_receiver import RtpReceiver, one_by_one
from siplab.lab.media.rtp_sender import RtpSender
from siplab.lab.sip.base import Arrivals
from siplab.lab.wire import g711
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.rtp import unpack_rtp

LOCAL, REMOTE = Endpoint("192.168.1.20", 40000), Endpoint("192.0.2.66", 40000)


def sender(seed: int = 1, signal: audio.Signal = audio.SILENCE) -> RtpSender:
    made = RtpSender("audio", LOCAL, random.Random(seed), signal=signal)
    made.direct(REMOTE, 0.0)
    return made


def hear(listener: RtpReceiver, packet: bytes, now: float) -> None:
    listener.packet(unpack_rtp(packet), packet[12:], REMOTE, now)


def test_loss_order_and_duplicates_are_counted_across_the_wrap() -> None:
    source, listener = sender(), RtpReceiver()
    source._sequence = 0xFFFE
    packets = [source.take() for _ in range(6)]
    for number in (0, 1, 4, 3, 4, 5):
        hear(listener, packets[number], number * 0.02)
    assert (listener.received, listener.lost) == (5, 1)
    assert (listener.reordered, listener.duplicates) == (1, 1)


def test_a_train_counts_like_its_packets() -> None:
    one, other = sender(), sender()
    single, together = RtpReceiver(), RtpReceiver()
    for number in range(50):
        hear(single, one.take(), number * 0.02)
    hear(together, other.take(), 0.0)
    together.train(other.skip(48), REMOTE)
    hear(together, other.take(), 49 * 0.02)
    assert one.take() == other.take()
    assert (single.received, single.lost) == (together.received, together.lost) == (50, 0)
    assert single.between(0.2, 0.4) == pytest.approx(together.between(0.2, 0.4), abs=1)
    assert list(single.sound(0.0, 1.0)) == list(together.sound(0.0, 1.0))


@given(st.lists(st.tuples(st.integers(0, 29), st.floats(0.0, 1.5)), min_size=1, max_size=60))
def test_a_train_over_a_bad_line_counts_like_its_packets(copies: list[tuple[int, float]]) -> None:
    """A train of packets counts like the single packets, whatever is lost, doubled, late or reordered."""
    copies = sorted(copies, key=lambda each: each[0] * 0.02 + each[1])
    source = sender(signal=tone(440.0))
    single, together = RtpReceiver(), RtpReceiver()
    first = source.take()
    for each in (single, together):
        hear(each, first, 0.0)
    train = source.skip(30)
    again = sender(signal=tone(440.0))
    packets = [again.take() for _ in range(31)][1:]
    times = [0.02 + number * 0.02 + delay for number, delay in copies]
    for at, (number, _) in zip(times, copies, strict=True):
        hear(single, packets[number], at)
    came = Arrivals(array("d", times), array("l", [number for number, _ in copies]))
    together.train(train._replace(arrivals=came), REMOTE)
    for name in ("received", "lost", "duplicates", "reordered", "stretches", "sources", "ranges"):
        assert getattr(single, name) == getattr(together, name), name
    assert list(one_by_one(single.sounds)) == list(one_by_one(together.sounds))
    assert [single.frame_at(at / 50) for at in range(100)] == [
        together.frame_at(at / 50) for at in range(100)
    ]


def test_silences_are_found_where_they_are() -> None:
    source, listener = sender(), RtpReceiver()
    for at in (1.0, 1.02, 2.0):
        hear(listener, source.take(), at)
    assert listener.silences(0.0, 2.1) == [(0.0, 1.0), (1.02, 2.0)]
    assert listener.silences(2.5, 3.0) == [(2.5, 3.0)]
    assert listener.first_at == 1.0


def test_a_pause_shows_in_the_timestamps_only() -> None:
    source = sender()
    first = unpack_rtp(source.take())
    source.direct(None, 0.02)
    assert source.next_due is None
    source.direct(REMOTE, 1.02)
    second = unpack_rtp(source.take())
    assert first is not None
    assert second is not None
    assert (second.sequence - first.sequence) % 65536 == 1
    assert (second.timestamp - first.timestamp) % 2**32 == 160 * 51
    assert second.marker


@given(st.lists(st.integers(-32768, 32767), max_size=200))
def test_mu_law_keeps_samples_to_a_thirtieth(samples: list[int]) -> None:
    for sample, back in zip(samples, g711.decode(g711.encode(samples)), strict=True):
        assert abs(sample - back) <= max(8, abs(sample) / 30 + 8)


@given(st.binary(max_size=300))
def test_mu_law_codes_survive_a_round_trip(data: bytes) -> None:
    # Two codes stand for zero, and only one of them is used.
    assert g711.encode(g711.decode(data)) == data.replace(b"\x7f", b"\xff")


def test_a_tone_is_found_again_alone_and_in_a_mixture() -> None:
    both = [mix(tone(440).frame(at), tone(800).frame(at)) for at in range(25)]
    samples = g711.decode(b"".join(both))
    assert strength(samples, 440) > 0.3
    assert strength(samples, 800) > 0.3
    assert strength(samples, 620) < 0.01
    assert strength(g711.decode(b"".join(tone(440).frames)), 440) > 0.9
    assert strength([0] * 100, 440) == 0


def test_speech_is_the_same_for_the_same_seed_and_is_no_silence() -> None:
    assert audio.speech("alice") == audio.speech("alice")
    loud = [max(map(abs, g711.decode(frame))) > 500 for frame in audio.speech("alice").frames]
    assert 0.2 < sum(loud) / len(loud) < 0.95


def test_what_is_written_as_wav_can_be_said_again(tmp_path: Path) -> None:
    write_wav(tmp_path / "tone.wav", tone(440).frames)
    assert from_wav(tmp_path / "tone.wav").frames == tone(440).frames


@pytest.mark.parametrize("content", [b"", b"RIFF", b"hello"])
def test_what_is_no_wav_file_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.wav").write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.wav: no WAV file"):
        from_wav(tmp_path / "x.wav")
