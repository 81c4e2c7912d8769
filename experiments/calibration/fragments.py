"""The corpus again, with datagrams cut into IP fragments: in order, out of order, repeated, overlapping.

The same seed gives the same cases. The kernel puts fragments together before its ALG sees them, and cuts what
leaves. Some datagrams are as large as the network can carry, or nearly so. The ALG may make these too large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, pairwise
from typing import Final

from siplab.experiments.calibration import corpus
from siplab.experiments.calibration.corpus import Case, Datagram, Piece
from siplab.experiments.calibration.weights import Dice
from siplab.lab.wire.ip import DEFAULT_MTU

_IP_HEADER: Final = 20
_UDP_HEADER: Final = 8
_LARGEST: Final = DEFAULT_MTU - _IP_HEADER - _UDP_HEADER  # bytes of payload that fit in one packet
_SIZES: Final = ((50, "as it is"), (30, "large"), (20, "nearly too large"))


def cases(seed: int, packets: int) -> list[Case]:
    """Cases with at least so many packets in all."""
    made: list[Case] = []
    sent = 0
    # An incomplete datagram's identification must not be used again while a router remembers its fragments.
    identifications = (number & 0xFFFF or 1 for number in count(1))
    for index, case in enumerate(corpus.cases(seed, packets)):
        if sent >= packets:
            break
        rng = Dice(f"calibration/fragments/{seed}/{index}")
        datagrams = [part for each in case.datagrams for part in _sent(rng, each, identifications)]
        made.append(Case(f"fragments, {case.kind}", tuple(datagrams)))
        sent += len(datagrams)
    return made


def _sent(rng: Dice, datagram: Datagram, identifications: Iterator[int]) -> Iterator[Datagram]:
    """A datagram, whole or in fragments, perhaps enlarged."""
    size = rng.draw(_SIZES)
    if size == "large":
        datagram = _enlarged(datagram, rng.randrange(_LARGEST, 3 * _LARGEST))
    elif size == "nearly too large":
        datagram = _enlarged(datagram, _LARGEST - rng.randrange(12))
    length = _UDP_HEADER + len(datagram.payload)
    if len(datagram.payload) <= _LARGEST and rng.chance(40):
        # Some senders set Don't Fragment, others do not.
        whole = Piece(next(identifications), 0, length, more=False)
        yield datagram if rng.chance(50) else replace(datagram, piece=whole)
        return
    identification = next(identifications)
    arrange = rng.draw(_WAYS)
    for begin, end in arrange(rng, _cut(rng, length)):
        yield replace(datagram, piece=Piece(identification, begin, end, more=end < length))


def _enlarged(datagram: Datagram, size: int) -> Datagram:
    """The datagram, enlarged to ``size`` bytes by a header field whose text is different at each place."""
    line, end, rest = datagram.payload.partition(b"\r\n")
    missing = size - len(datagram.payload) - len(b"X-Long: \r\n")
    if not end or missing < 1:
        return datagram
    text = "".join(f"{at:04}" for at in range(missing // 4 + 1))[:missing]
    return replace(datagram, payload=b"\r\n".join((line, b"X-Long: " + text.encode(), rest)))


_Range = tuple[int, int]


def _cut(rng: Dice, length: int) -> list[_Range]:
    """Ranges of two to four fragments, or more if the network needs them smaller."""
    places = {8 * rng.randrange(1, max(2, length // 8)) for _ in range(rng.choice((1, 1, 2, 3)))}
    edges = sorted({0, length, *(at for at in places if at < length)})
    most = (DEFAULT_MTU - _IP_HEADER) // 8 * 8
    return [(at, min(at + most, end)) for begin, end in pairwise(edges) for at in range(begin, end, most)]


def _in_order(rng: Dice, parts: list[_Range]) -> list[_Range]:
    return parts


def _backwards(rng: Dice, parts: list[_Range]) -> list[_Range]:
    return parts[::-1]


def _any_order(rng: Dice, parts: list[_Range]) -> list[_Range]:
    return rng.sample(parts, len(parts))


def _one_twice(rng: Dice, parts: list[_Range]) -> list[_Range]:
    """All of them, in any order, and one of them a second time."""
    again = rng.sample(parts, len(parts))
    again.insert(rng.randrange(len(parts) + 1), rng.choice(parts))
    return again


def _a_part_again(rng: Dice, parts: list[_Range]) -> list[_Range]:
    """All of them, in any order, and one more that overlaps one or two of them."""
    length = parts[-1][1]
    begin = 8 * rng.randrange(max(1, length // 8))
    end = begin + rng.randrange(1, max(2, min(160, length - begin)))  # only the last may end anywhere
    again = rng.sample(parts, len(parts))
    again.insert(rng.randrange(len(parts) + 1), (begin, min(end, length)))
    return again


def _one_missing(rng: Dice, parts: list[_Range]) -> list[_Range]:
    kept = list(parts)
    del kept[rng.randrange(len(kept))]
    return kept


_WAYS: Final[tuple[tuple[int, Callable[[Dice, list[_Range]], list[_Range]]], ...]] = (
    (30, _in_order),
    (15, _backwards),
    (20, _any_order),
    (15, _one_twice),
    (15, _a_part_again),
    (5, _one_missing),
)
