"""ICE candidates: what they are (RFC 8445 section 5.1), and how SDP has them (RFC 8839 section 5.1)."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from siplab.lab.sip.messages import address_text
from siplab.lab.wire.ip import Endpoint

CandidateType = Literal["host", "srflx", "prflx", "relay"]
_PREFERENCE: Final[dict[CandidateType, int]] = {"host": 126, "prflx": 110, "srflx": 100, "relay": 0}
_TYPES: Final[dict[bytes, CandidateType]] = {each.encode(): each for each in _PREFERENCE}


class Candidate(NamedTuple):
    """A way to reach one side. ``related``: for one that a server saw or gave, the endpoint behind it."""

    foundation: bytes
    priority: int
    endpoint: Endpoint
    type: CandidateType
    related: Endpoint | None = None


class IceOffer(NamedTuple):
    """What one side says about itself: user fragment, password, whether it is lite, candidates."""

    ufrag: bytes
    password: bytes
    lite: bool
    candidates: tuple[Candidate, ...]


def priority(kind: CandidateType) -> int:
    """The priority of a candidate of the only component on the only address (section 5.1.2.1)."""
    return _PREFERENCE[kind] << 24 | 65535 << 8 | 255


def read_candidate(value: bytes) -> Candidate | None:
    """Read the text behind ``a=candidate:``; ``None`` if malformed, or for another component or transport."""
    words = value.split()
    if len(words) < 8 or words[1] != b"1" or words[2].upper() != b"UDP" or words[6] != b"typ":
        return None
    ip, kind = address_text(words[4]), _TYPES.get(words[7])
    if ip is None or kind is None or not words[3].isdigit() or not words[5].isdigit():
        return None
    if len(words[3]) > 10 or len(words[5]) > 5 or not 0 < int(words[5]) < 65536:
        return None
    return Candidate(words[0], int(words[3]) & 0x7FFFFFFF, Endpoint(ip, int(words[5])), kind)


def candidate_line(candidate: Candidate) -> bytes:
    """The ``a=candidate`` line for a candidate, with its line ending."""
    at, related = candidate.endpoint, candidate.related
    line = b"a=candidate:%b 1 UDP %d %b %d typ %b" % (
        candidate.foundation,
        candidate.priority,
        at.ip.encode(),
        at.port,
        candidate.type.encode(),
    )
    if related is not None:
        line += b" raddr %b rport %d" % (related.ip.encode(), related.port)
    return line + b"\r\n"
