"""Words for what a gateway did with a packet."""

from __future__ import annotations

from typing import Final

from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Emission

_SENTENCES: Final = {
    Fate.FORWARDED: "",
    Fate.HAIRPINNED: "hairpin",
    Fate.MESSAGE_REMOVED: "message dropped by the ALG",
    Fate.ANSWERED: "answered by the router itself",
    Fate.ECHO_REPLY: "the router answers",
    Fate.PORT_UNREACHABLE: "the router has no such port",
    Fate.TTL_EXCEEDED: "TTL ends here",
    Fate.MADE_BY_KERNEL: "made by its kernel",
    Fate.FRAGMENT_KEPT: "fragment kept until the datagram is whole",
    Fate.HELD: "held by the ALG",
    Fate.HELD_ACKNOWLEDGED: "held bytes acknowledged",
    Fate.DROPPED_BY_MODEL: "dropped by the ALG",
    Fate.OUTGREW_MTU: "the ALG made it larger than the MTU",
    Fate.TOO_LARGE: "the ALG made it larger than IP allows",
    Fate.NO_BINDING: "no binding",
    Fate.FILTERED: "filtered",
    Fate.NO_HAIRPINNING: "no hairpinning",
    Fate.NO_FREE_PORT: "public ports exhausted",
    Fate.UNKNOWN_FLOW: "ICMP error about no known flow",
    Fate.NOT_TRANSLATED: "protocol is not translated",
    Fate.FIREWALL: "by its firewall",
    Fate.MALFORMED: "malformed packet",
    Fate.FRAGMENT_DROPPED: "a fragment, which this router drops",
    Fate.FOREIGN_SOURCE: "the source is not an inside address",
    Fate.INSIDE_DESTINATION: "the destination is on the inside itself",
    Fate.FOREIGN_DESTINATION: "not this router's public address",
    Fate.FOR_ROUTER: "for the router itself",
    Fate.DROPPED_BY_KERNEL: "its kernel let nothing out",
}


def words(emission: Emission) -> str:
    """What happened to the packet, with the model's error; empty if there is nothing to mention."""
    return _said(_SENTENCES[emission.fate], emission)


def ending(gateway: str, emission: Emission) -> str:
    """Which gateway did what with a packet that it did not forward."""
    if emission.fate.is_kept:
        return f"{gateway}: {words(emission)}"
    if emission.side is not None:
        return f"answered by {gateway}: {words(emission)}"
    if emission.fate is Fate.DROPPED_BY_MODEL:
        return _said(f"dropped by {gateway}'s ALG", emission)
    return f"dropped by {gateway}: {words(emission)}"


def _said(sentence: str, emission: Emission) -> str:
    said = f"{sentence}: {emission.detail}" if emission.detail else sentence
    raised = f"the model raised {emission.error}" if emission.error else ""
    if raised and emission.fate is Fate.FORWARDED:
        raised += "; passed with addresses translated only"
    return "; ".join(part for part in (said, raised) if part)
