"""Something like speech, made from a seed: what the lab's phones say.

A voice is a row of pulses at the pitch of the vocal cords. The mouth answers each pulse with a few resonances
(formants), which distinguish the vowels. Consonants are short noise. So a listener hears at once who speaks,
where speech breaks off, and where syllables are missing; no recording of a person is needed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

RATE: Final = 8000  # samples per second
_RING: Final = 120  # samples for which the mouth answers a pulse
_PEAK: Final = 11000  # of 32767: loud, and never clipped
# Frequencies in Hz of the first three formants: Peterson and Barney, 1952, averages of men, rounded.
_VOWELS: Final = (
    (270, 2290, 3010),
    (530, 1840, 2480),
    (660, 1720, 2410),
    (730, 1090, 2440),
    (570, 840, 2410),
    (300, 870, 2240),
    (490, 1350, 1690),
)
_BANDWIDTHS: Final = (60, 90, 150)  # Hz
_STRENGTHS: Final = (1.0, 0.55, 0.3)


def syllables(seed: str, seconds: float) -> list[int]:
    """Samples of 16 bits: phrases of a few syllables with pauses between them, and a pause at the end."""
    rng = random.Random(f"speech/{seed}")
    pitch, size = rng.uniform(95, 210), rng.uniform(0.95, 1.15)  # of the voice, and of the mouth
    length = round(seconds * RATE)
    samples = [0.0] * (length + RATE)
    at = 0
    while at < length - RATE * 3 // 4:
        count = rng.randint(3, 6)
        for number in range(count):
            at = _consonant(samples, at, rng)
            # The pitch falls in the course of a phrase.
            at = _vowel(samples, at, rng, pitch * (1.15 - 0.3 * number / count), size)
        at += round(rng.uniform(0.15, 0.35) * RATE)
    del samples[length:]
    loudest = max(map(abs, samples)) or 1.0
    return [round(each * _PEAK / loudest) for each in samples]


def _vowel(samples: list[float], at: int, rng: random.Random, pitch: float, size: float) -> int:
    begin, end = at, at + round(rng.uniform(0.11, 0.24) * RATE)
    first, second = rng.choice(_VOWELS), rng.choice(_VOWELS)
    while at < end:
        share = (at - begin) / (end - begin)
        blend = 0.0 if share < 0.4 else 1.0 if share > 0.8 else 0.5  # from one vowel to the next
        loudness = math.sin(math.pi * (0.08 + 0.88 * share))
        answer = _ring(first, second, blend, size)
        samples[at : at + _RING] = [
            old + loudness * new for old, new in zip(samples[at : at + _RING], answer, strict=True)
        ]
        at += round(RATE / (pitch * (1 + 0.02 * rng.uniform(-1, 1))))
    return end


@lru_cache(maxsize=1024)
def _ring(first: Sequence[int], second: Sequence[int], blend: float, size: float) -> list[float]:
    """How a mouth that is between two vowels answers a pulse."""
    formants = [(one * (1 - blend) + other * blend) * size for one, other in zip(first, second, strict=True)]
    return [
        sum(
            strength * math.exp(-math.pi * width * n / RATE) * math.sin(2 * math.pi * formant * n / RATE)
            for formant, width, strength in zip(formants, _BANDWIDTHS, _STRENGTHS, strict=True)
        )
        for n in range(_RING)
    ]


def _consonant(samples: list[float], at: int, rng: random.Random) -> int:
    kind = rng.random()
    if kind < 0.3:  # none: vowel follows vowel
        return at
    if kind < 0.65:  # the mouth closes, and opens with a burst
        at, length, loudness = at + round(0.035 * RATE), round(0.012 * RATE), 0.5
    else:  # a hiss
        length, loudness = round(rng.uniform(0.04, 0.09) * RATE), 0.22
    before = 0.0
    for n in range(length):
        noise = rng.uniform(-1, 1)
        samples[at + n] += loudness * (noise - before) * math.sin(math.pi * (n + 0.5) / length)
        before = noise
    return at + length
