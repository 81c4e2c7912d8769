"""What a seed varies with ``--vary``: ways in which real phones differ, within what the RFCs allow.

The rules of this file:

- What somebody has chosen takes precedence: a kind's settings that differ from the plain phone's, and those
  of a mitigation or a scenario. How kinds of phones *behave* is not varied either; the kinds are for that.
- The draws come from a generator of their own, in a fixed order. So the same seed gives the same phone in
  both worlds, and no other random number of the trial changes.
- Whatever is drawn, every scenario passes if there is no ALG; a test ensures this.
- Real programs, and the messages that detectors make themselves, are not varied.
"""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any, Final

from siplab.lab.phone.quirks import Quirk
from siplab.lab.wire.rtp import PCMU, STATIC_AUDIO

# The forms that product names have (RFC 3261 section 20.41): short and long, with and without a comment.
_PRODUCTS: Final = (
    "Phone/{0}.{1}",
    "Desk T{0}{1}G {0}.{1}.0.{2}",
    "SoftPhone {0}.{1}.{2} (rel-{2}/{0})",
    "d{0}{1}5/{0}.{1}.{2}.1",
)
_SERVERS: Final = ("SIP Proxy ({0}.{1}.{2} (x86_64/linux))", "PBX {0}.{1}.{2}", "SBC/v.{0}.{1}.{2}")
# Fields besides Via and others that stay at the top (``lab.phone.arrangement``).
_FREE: Final = (
    "from",
    "to",
    "call-id",
    "cseq",
    "contact",
    "expires",
    "authorization",
    "allow",
    "supported",
    "user-agent",
    "content-type",
    "organization",
    "accept-language",
    "allow-events",
    "date",
)
_OPTIONAL: Final = (
    "Organization: The Lab",
    "Accept-Language: en",
    "Allow-Events: talk, hold, conference, refer",
    "Date: Thu, 21 Feb 2002 13:02:03 GMT",
    "Accept: application/sdp",
)
_LIFETIMES: Final = (300, 600, 1800, 3600)  # seconds; the lab's servers accept 60 to 3600
_MORE_CODECS: Final = tuple(number for number in STATIC_AUDIO if number != PCMU)
# How often a phone has an unusual spelling (``lab.phone.quirks``).
_HABITS: Final[dict[Quirk, float]] = {
    "contact-expires": 0.2,
    "quoted-contact": 0.1,
    "capitals": 0.1,
    "folded": 0.05,
    "two-spaces": 0.05,
}
_FIRST_RTP, _LAST_RTP = 10_000, 60_000  # calls and a second phone on the host use some 2000 ports above
_SIP_PORTS: Final = (61_000, 64_998)


def phone(rng: random.Random, kept: Collection[str] = ()) -> dict[str, Any]:
    """Fields of ``PhoneConfig`` for one phone, without those in ``kept``."""
    order = [*rng.sample(_FREE, len(_FREE)), "content-length"]
    if rng.random() < 0.25:
        order.insert(rng.randrange(len(order)), order.pop())
    more = rng.sample(_MORE_CODECS, rng.randint(0, len(_MORE_CODECS)))
    # Most phones listen at 5060.
    sip_port = 5060 if rng.random() < 0.7 else rng.randrange(*_SIP_PORTS, 2)
    drawn = {
        "user_agent": _product(rng, _PRODUCTS),
        "header_order": tuple(order),
        "optional_headers": tuple(rng.sample(_OPTIONAL, rng.randint(0, 3))),
        "codecs": (PCMU, *more),
        "sip_port": sip_port,
        "contact_port": rng.random() < 0.75,
        "rtp_port": rng.randrange(_FIRST_RTP, _LAST_RTP, 2),
        "expires": rng.choice(_LIFETIMES),
        "refresh": rng.choice((0.5, 0.75, 0.9, 60.0)),
        "ring_time": round(rng.uniform(0.5, 3.0), 3),
        "quirks": tuple(name for name, share in _HABITS.items() if rng.random() < share),
        "compact": rng.random() < 0.1,
    }
    return {name: value for name, value in drawn.items() if name not in kept}


def server(rng: random.Random) -> dict[str, Any]:
    """Fields of ``ServerConfig``."""
    return {"server_name": _product(rng, _SERVERS)}


def _product(rng: random.Random, shapes: Collection[str]) -> str:
    return rng.choice(tuple(shapes)).format(*(rng.randint(1, 99) for _ in range(3)))
