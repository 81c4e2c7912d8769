"""Bodies of the corpus: SDP, well-formed or not, alone or in a multipart body."""

from __future__ import annotations

from typing import Final

from siplab.experiments.calibration.places import FOREIGN_IP, OTHER_INSIDE_IP, PUBLIC_IP
from siplab.experiments.calibration.weights import Dice

_HOLD: Final = "0.0.0.0"  # noqa: S104 - old-style hold, nothing is bound
_ADDRESSES: Final = (
    (72, "own"), (6, _HOLD), (6, FOREIGN_IP), (5, "media.lab.test"), (3, PUBLIC_IP), (2, OTHER_INSIDE_IP),
    (2, "IP6"), (2, "none"), (1, "{own}/127"), (1, "{own}0"),
)  # fmt: skip
_ORIGINS: Final = ((84, "own"), (5, "name"), (4, "missing"), (3, _HOLD), (2, FOREIGN_IP), (2, "IP6"))
_TYPES: Final = (
    (66, "audio"), (14, "video"), (4, "image"), (5, "application"), (3, "message"), (3, "text"), (2, "Audio"),
    (2, "audiox"), (1, ""),
)  # fmt: skip
_PORTS: Final = (
    (60, "even"), (14, "odd"), (10, "0"), (2, "1"), (2, "1023"), (2, "1024"), (2, "65535"), (2, "65534"),
    (2, "65536"), (1, "70000"), (1, "123456"), (2, "even/2"),
)  # fmt: skip
_ATTRIBUTES: Final = (
    "a=rtpmap:0 PCMU/8000", "a=sendrecv", "a=inactive", "a=rtcp:49171", "a=rtcp:53020 IN IP4 192.168.1.102",
    "a=candidate:1 1 UDP 2130706431 192.168.1.102 49170 typ host", "a=rtcp-mux", "a=ptime:20", "b=AS:64",
    "i=line", "k=prompt", "a=x:m=audio 5000", "a=x:c=IN IP4 192.168.1.102",
)  # fmt: skip
_WRAPPINGS: Final = ((84, "sdp"), (6, "multipart"), (3, "text/plain"), (4, "other"), (3, "indented"))
_TAIL: Final = ((90, "usual"), (6, "no line end"), (4, "two line ends"))


def _connection(rng: Dice, own: str, *, kind: str = "") -> list[str]:
    chosen = kind or rng.pick(_ADDRESSES)
    if chosen == "none":
        return []
    if chosen == "IP6":
        return ["c=IN IP6 2001:db8::5"]
    return [f"c=IN IP4 {own if chosen == 'own' else chosen.format(own=own)}"]


def _origin(rng: Dice, own: str) -> list[str]:
    chosen = rng.pick(_ORIGINS)
    if chosen == "missing":
        return []
    if chosen == "IP6":
        return ["o=- 1 1 IN IP6 2001:db8::5"]
    address = {"own": own, "name": "alice-pc.lab.test"}.get(chosen, chosen)
    return [f"o=alice {rng.randrange(1, 9999)} 1 IN IP4 {address}"]


def _media(rng: Dice, own: str, index: int) -> list[str]:
    port = rng.pick(_PORTS)
    if port.startswith(("even", "odd")):
        number = rng.randrange(10000 + 8000 * index, 17000 + 8000 * index) & ~1
        port = str(number + 1) if port == "odd" else port.replace("even", str(number))
    lines = [f"m={rng.pick(_TYPES)} {port} RTP/AVP {rng.choice(('0', '0 8 101', '96'))}"]
    if rng.chance(25):
        lines += _connection(rng, own)
    attributes = rng.sample(_ATTRIBUTES, rng.choice((0, 0, 1, 2)))
    if rng.chance(3):
        attributes += _connection(rng, own)  # after the attributes, or a second one
    return lines + attributes


def session(rng: Dice, own: str, eol: str) -> str:
    """An SDP body whose author has the address ``own``."""
    lines = [] if rng.chance(2) else ["v=0"]
    lines += [*_origin(rng, own), "s=-", *([] if rng.chance(14) else _connection(rng, own)), "t=0 0"]
    for index in range(rng.pick(((4, 0), (64, 1), (20, 2), (8, 3), (4, 4)))):
        lines += _media(rng, own, index)
    if rng.chance(3):
        rng.shuffle(lines)
    return eol.join(lines) + {"usual": eol, "no line end": "", "two line ends": 2 * eol}[rng.pick(_TAIL)]


def body(rng: Dice, own: str, eol: str) -> tuple[str, str]:
    """``(Content-Type, body)``."""
    wrapping = rng.pick(_WRAPPINGS)
    if wrapping == "other":
        return "text/plain", rng.choice(("hello", "x=1", f"see {own}:5060", ""))
    inner = session(rng, own, eol)
    if wrapping == "multipart":
        part = eol.join(["--b1", "Content-Type: application/sdp", "", inner])
        extra = eol.join(["--b1", "Content-Type: text/plain", "", f"sip:{own}:5060", "--b1--", ""])
        return 'multipart/mixed;boundary="b1"', part + extra
    if wrapping == "indented":
        return "application/sdp", eol + inner
    return ("text/plain" if wrapping == "text/plain" else "application/sdp"), inner
