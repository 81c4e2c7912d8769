"""What phones say and hear: signals cut into packets of 20 ms, WAV files, detection of tones.

The rules of this file:

- A signal is a row of G.711 mu-law frames that repeats: any packet of it can be computed
  from its number alone.
- A signal has a name. If ``by_name`` knows the name, the signal can be made again from it.
"""

from __future__ import annotations

import math
import struct
import wave
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from siplab.lab.counting import number_of
from siplab.lab.errors import UsageError
from siplab.lab.media.speech import RATE, syllables
from siplab.lab.outputs import replaced
from siplab.lab.wire import g711

SAMPLES: Final = 160  # in one packet: 20 ms
_LOUD: Final = 8000
_MU_LAW: Final = 7  # the format of WAV files that are G.711 mu-law (RFC 2361)


@dataclass(frozen=True)
class Signal:
    """Frames of 160 mu-law bytes, repeated without end."""

    name: str
    frames: tuple[bytes, ...]

    def frame(self, number: int) -> bytes:
        return self.frames[number % len(self.frames)]


def _framed(name: str, samples: Sequence[int]) -> Signal:
    data = g711.encode(samples)
    data += bytes([g711.SILENCE]) * (-len(data) % SAMPLES)
    return Signal(name, tuple(data[at : at + SAMPLES] for at in range(0, len(data), SAMPLES)))


SILENCE: Final = Signal("silence", (bytes([g711.SILENCE]) * SAMPLES,))


@lru_cache(maxsize=64)
def tone(frequency: int) -> Signal:
    """A sine of ``frequency`` Hz; one second of it is repeated without a break."""
    step = 2 * math.pi * frequency / RATE
    return _framed(f"tone {frequency}", [round(_LOUD * math.sin(step * at)) for at in range(RATE)])


@lru_cache(maxsize=16)
def speech(who: str) -> Signal:
    """Five seconds like speech, in a voice that depends on the name."""
    return _framed(f"speech {who}", syllables(who, 5.0))


def by_name(name: str) -> Signal | None:
    """The signal of that name; ``None`` for one that is not made here, such as the sound of a file."""
    kind, _, rest = name.partition(" ")
    if kind == "speech":
        return speech(rest)
    if kind == "tone" and rest.isdecimal():
        return tone(int(rest))
    return SILENCE if name == SILENCE.name else None


def from_wav(path: Path) -> Signal:
    """The sound of a WAV file: 16 bit, mono, 8000 Hz. Raises ``UsageError`` for another kind of file."""
    try:
        with wave.open(str(path), "rb") as file:
            kind = (file.getsampwidth(), file.getnchannels(), file.getframerate())
            data = file.readframes(file.getnframes())
    except (OSError, wave.Error, EOFError) as error:
        raise UsageError(f"{path}: no WAV file that can be read: {error}") from None
    if kind != (2, 1, RATE) or not data:
        width, channels, rate = kind
        raise UsageError(
            f"{path}: {8 * width} bit, {number_of(channels, 'channel')}, {rate} Hz; needed are 16 bit, mono, "
            "8000 Hz and some sound (sox IN -b 16 -c 1 -r 8000 OUT.wav)"
        )
    samples = [int.from_bytes(data[at : at + 2], "little", signed=True) for at in range(0, len(data) - 1, 2)]
    return _framed(path.name, samples)


def write_stereo(path: Path, frames: Iterable[tuple[bytes, bytes]]) -> None:
    """Write pairs of mu-law frames, left and right, as a WAV file of G.711, two channels, 8000 Hz.

    Python's ``wave`` writes linear samples only, which take twice the space. Raises ``OutputError``.
    """
    data = b"".join(bytes(each for pair in zip(*both, strict=True) for each in pair) for both in frames)
    kind = struct.pack("<HHIIHHH", _MU_LAW, 2, RATE, 2 * RATE, 2, 8, 0)
    chunks = b"fmt " + struct.pack("<I", len(kind)) + kind + b"fact" + struct.pack("<II", 4, len(data) // 2)
    chunks += b"data" + struct.pack("<I", len(data)) + data
    with replaced(path) as out:
        out.write(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)


def write_wav(path: Path, frames: Iterable[bytes]) -> None:
    """Write mu-law frames as a WAV file of 16 bit, mono, 8000 Hz. Raises ``OutputError``."""
    with replaced(path) as out, wave.open(out, "wb") as file:
        file.setsampwidth(2)
        file.setnchannels(1)
        file.setframerate(RATE)
        for frame in frames:
            file.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in g711.decode(frame)))


def mix(*frames: bytes) -> bytes:
    """Several frames heard at once."""
    if len(frames) == 1:
        return frames[0]
    return g711.encode([sum(row) for row in zip(*(g711.decode(frame) for frame in frames), strict=True)])


def strength(samples: Sequence[int], frequency: int) -> float:
    """The share of a sine of ``frequency`` Hz in the power of the samples, 0 to 1 (Goertzel's algorithm)."""
    total = sum(sample * sample for sample in samples)
    if not total:
        return 0.0
    factor = 2 * math.cos(2 * math.pi * frequency / RATE)
    before, last = 0.0, 0.0
    for sample in samples:
        before, last = last, sample + factor * last - before
    power = before * before + last * last - factor * before * last
    return min(1.0, 2 * power / (len(samples) * total))
