"""Which model of the catalogue would make such observations: a comparison of fingerprints.

A fingerprint is the set of all differences in a conversation, written without what differs between networks:
addresses, ports and identifiers are replaced by what they are. ``fingerprints.json`` has those of all
models, made by ``python -m tools.fingerprints``. What two models have in common with nearly all others
counts little.

No detector by itself. Models that do the same in this conversation can't be told apart by it: they are all
named.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from siplab.lab.probing.observation import Transit
from siplab.lab.probing.probe_plan import Observations
from siplab.lab.wire.sip import SipMessage

FILE: Final = Path(__file__).with_name("fingerprints.json")
_BASE: Final = "correct"
MOST: Final = 5  # models that are named
_ALIKE: Final = 0.5  # of 1: less is no resemblance
_TIE: Final = 0.01
_NUMBERS: Final = re.compile(rb"\d{2,}")
_ADDRESSES: Final = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}")
_TOKENS: Final = re.compile(rb"q[0-9a-f]{11}|\b[0-9a-f]{8,}\b")


def fingerprint(seen: Observations) -> frozenset[str]:
    """The differences of an examination, each as six hexadecimal digits."""
    return frozenset(f"{zlib.crc32(sign.encode()) & 0xFFFFFF:06x}" for sign in signs(seen))


def signs(seen: Observations) -> Iterator[str]:
    """The differences in words."""
    words = _Words(seen)
    for transit in seen.transits:
        title = f"{'>' if transit.outbound else '<'}{transit.kind}"
        if transit.sent is None:
            if seen.owner(transit):
                yield f"{title} forged"
        elif transit.arrived is None:
            if seen.is_gone(transit):
                yield f"{title} gone"
        elif transit.sent.text != transit.arrived.text:
            yield from words.between(title, transit)
    for (port, _), datagrams in seen.mappings.items():
        if len({datagram.near for datagram in datagrams}) > 1:
            yield f"{'p' if port == seen.local.port else 'other'} unstable"


class _Words:
    """Lines with names in the place of addresses and ports."""

    def __init__(self, seen: Observations) -> None:
        mapped = {
            datagram.near
            for (port, _), rows in seen.mappings.items()
            for datagram in rows
            if port == seen.local.port
        }
        names: dict[bytes, bytes] = {}
        for near in sorted(mapped):
            names[b"%d" % near.port] = b"<m>"
            names[near.ip.encode()] = b"<M>"
        if seen.public is not None:
            names.setdefault(seen.public.ip.encode(), b"<M>")
        names[b"%d" % seen.local.port] = b"<p>"
        names[seen.local.ip.encode()] = b"<P>"
        names[seen.site.ip.encode()] = b"<S>"
        self._names = names
        ordered = sorted(names, key=lambda each: (-len(each), each))
        self._known = re.compile(
            b"|".join(rb"(?<![0-9a-fA-F])%b(?![0-9])" % re.escape(each) for each in ordered)
        )

    def between(self, title: str, transit: Transit) -> Iterator[str]:
        if transit.sent is None or transit.arrived is None:
            return
        written = frozenset(_NUMBERS.findall(transit.sent.text))
        before, after = (Counter(each.text.splitlines()) for each in (transit.sent, transit.arrived))
        gone, new = self._lines(before - after, written), self._lines(after - before, written)
        plus, minus = new - gone, gone - new
        for line in sorted(plus):
            yield f"{title} +{line}"
        for line in sorted(minus):
            yield f"{title} -{line}"
        if not plus and not minus:
            yield f"{title} otherwise"
        message = SipMessage.parse(transit.arrived.text)
        length = message.content_length
        if message.is_sip and length != len(message.body):
            how = "missing" if length is None else "short" if length < len(message.body) else "long"
            yield f"{title} length {how}"

    def _lines(self, lines: Counter[bytes], written: frozenset[bytes]) -> Counter[str]:
        return Counter(self._line(line, written) for line in lines.elements())

    def _line(self, line: bytes, written: frozenset[bytes]) -> str:
        """``written``: the numbers that the sender wrote, which stay; of others only whether they are odd."""
        text = _TOKENS.sub(b"<k>", line)
        text = self._known.sub(lambda found: self._names[found[0]], text)
        # Whatever else is an address, somebody on the way has put there.
        text = _ADDRESSES.sub(b"<M>", text)
        return _NUMBERS.sub(
            lambda found: found[0] if found[0] in written else b"<n%d>" % (found[0][-1] & 1), text
        ).decode("latin-1")


def folded(rows: dict[str, frozenset[str]]) -> dict[str, str]:
    """Fingerprints as they are kept: what each has beside the correct ALG's, and what it lacks of them."""
    base = rows.get(_BASE, frozenset())
    kept = {
        spec: " ".join(sorted(row - base) + [f"-{each}" for each in sorted(base - row)])
        for spec, row in rows.items()
    }
    return {**kept, _BASE: " ".join(sorted(base))}


def unfolded(kept: dict[str, str]) -> dict[str, frozenset[str]]:
    """The reverse of ``folded``."""
    base = frozenset(kept.get(_BASE, "").split())
    rows: dict[str, frozenset[str]] = {}
    for spec, text in kept.items():
        words = text.split()
        lacking = {word[1:] for word in words if word[0] == "-"}
        rows[spec] = (base - lacking) | {word for word in words if word[0] != "-"}
    return rows


class _Catalogue:
    """The fingerprints of all models, what each sign is worth (the rarer, the more), and each model's sum."""

    def __init__(self, rows: dict[str, frozenset[str]]) -> None:
        self.rows = rows
        count = Counter(sign for row in rows.values() for sign in row)
        # Whole numbers: their sum is the same in any order.
        self.worth = {sign: round(1000 * math.log(1 + len(rows) / each)) for sign, each in count.items()}
        self.rarest = round(1000 * math.log(1 + len(rows)))
        self.sums = {spec: self.weight(row) for spec, row in rows.items()}
        # Most of each model's signs are the base's: what it lacks of them, and what it has beside.
        self.base = rows.get(_BASE, frozenset())
        self._apart = {spec: (self.base - row, row - self.base) for spec, row in rows.items()}

    def weight(self, row: frozenset[str]) -> int:
        return sum([self.worth.get(sign, self.rarest) for sign in row])

    def likeness(self, mine: frozenset[str], total: int, of_base: int, spec: str) -> float:
        """Of 1: the weight of what both have, by the weight of what either has.

        ``total``: the weight of all signs that were seen, ``of_base``: of those that the base has, too.
        """
        lacking, beside = self._apart[spec]
        common = of_base - self.weight(mine & lacking) + self.weight(mine & beside)
        return common / max(1, total + self.sums[spec] - common)


@cache
def catalogue() -> _Catalogue:
    """The fingerprints on file."""
    return _Catalogue(unfolded(json.loads(FILE.read_text())) if FILE.exists() else {})


def likely(seen: Observations) -> tuple[str, ...]:
    """The models whose conversations look most like this one, likeliest first; empty when none does."""
    known, mine = catalogue(), fingerprint(seen)
    total, of_base = known.weight(mine), known.weight(mine & known.base)
    scores = {spec: round(known.likeness(mine, total, of_base, spec), 6) for spec in known.rows}
    best = max(scores.values(), default=0.0)
    if best < _ALIKE:
        return ()
    ranked = sorted(scores, key=lambda spec: (-scores[spec], spec != _BASE, "(" in spec, spec))
    return tuple(spec for spec in ranked if scores[spec] >= best - _TIE)[:MOST]
