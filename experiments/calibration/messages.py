"""Whole messages of the corpus."""

from __future__ import annotations

from typing import Final

from siplab.experiments.calibration import bodies
from siplab.experiments.calibration.headers import Writer
from siplab.experiments.calibration.places import View, hostport
from siplab.experiments.calibration.weights import Dice

# Bytes. Larger messages could be cut into fragments when the ALG makes them longer.
MAX_SIZE: Final = 1400

_LINE_ENDS: Final = ((93, "\r\n"), (5, "\n"), (2, "\r"))
_LENGTHS: Final = (
    (84, "right"), (7, "missing"), (2, "too small"), (2, "too large"), (2, "zero"), (1, "no number"),
    (2, "twice"),
)  # fmt: skip
_VERSIONS: Final = ((97, "SIP/2.0"), (2, "sip/2.0"), (1, "SIP/3.0"))
_REASONS: Final = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 401: "Unauthorized"}
_CODES: Final = ((96, "{code}"), (1, "abc"), (1, " {code}"), (1, "{code}0"), (1, ""))
_URI_TARGETS: Final = ((50, "name"), (30, "address"), (16, "uri"), (4, "tel"))
# How often a message has a body, in percent. Sometimes a message that should have none has one.
_BODY_REQUESTS: Final = {"INVITE": 90, "UPDATE": 70, "ACK": 15, "PRACK": 25, "MESSAGE": 30, "INFO": 30}
_BODY_ANSWERS: Final = {"INVITE": 75, "UPDATE": 60, "PRACK": 30}


def request(
    rng: Dice, method: str, view: View, *, number: int = 1, has_body: bool | None = None, target: str = ""
) -> bytes:
    """A request from ``view.source``; ``target`` is its Request-URI; if empty, one is made up."""
    eol = rng.pick(_LINE_ENDS)
    writer = Writer(rng, view, eol)
    line = f"{method} {target or _target(rng, writer)} {rng.pick(_VERSIONS)}"
    if has_body is None:
        has_body = rng.chance(_BODY_REQUESTS.get(method, 3))
    fields = [
        *writer.vias(response=False),
        writer.field("From", f"{writer.address()};tag=f{rng.randrange(9999)}"),
        writer.field("To", writer.address(kind="to")),
        *_common(rng, writer, number, method),
    ]
    if method != "BYE" or rng.chance(10):
        fields += writer.contacts()
    if method == "REGISTER" or rng.chance(4):
        fields += [writer.expires()] if rng.chance(75) else []
    return _assembled(rng, line, fields, writer, has_body)


def response(
    rng: Dice, code: int, method: str, view: View, *, number: int = 1, has_body: bool | None = None
) -> bytes:
    """A response from ``view.source`` to a request of ``view.destination``."""
    eol = rng.pick(_LINE_ENDS)
    writer = Writer(rng, view, eol)
    reason = _REASONS.get(code, "Because")
    line = f"{rng.pick(_VERSIONS)} {rng.pick(_CODES).format(code=code)} {reason}"
    if has_body is None:
        has_body = code < 300 and code != 100 and rng.chance(_BODY_ANSWERS.get(method, 3))
    fields = [
        *writer.vias(response=True),
        writer.field("From", f"{writer.address(kind='to')};tag=f1"),
        writer.field("To", f"{writer.address()};tag=t{rng.randrange(9999)}"),
        *_common(rng, writer, number, method),
    ]
    if method == "REGISTER":
        # The registrar repeats the phone's own contacts.
        back = Writer(rng, View(view.destination, view.source), eol)
        fields += back.contacts() if code == 200 or rng.chance(10) else []
        fields += [writer.expires()] if rng.chance(40) else []
    elif code < 400 and code != 100:
        fields += writer.contacts()
    return _assembled(rng, line, fields, writer, has_body)


def _target(rng: Dice, writer: Writer) -> str:
    match rng.pick(_URI_TARGETS):
        case "name":
            return "sip:bob@lab.test"
        case "address":
            view = writer.view
            return f"sip:bob@{hostport(rng, view.destination, view.source)}"
        case "uri":
            return writer.uri(kind="to")
    return "tel:+15551234"


def _common(rng: Dice, writer: Writer, number: int, method: str) -> list[str]:
    fields = [writer.field("Call-ID", f"{rng.randrange(1 << 30)}@{rng.choice((writer.view.source.ip, 'x'))}")]
    if not rng.chance(1):
        fields.append(writer.cseq(number, method))
    return fields + writer.extras()


def _assembled(rng: Dice, line: str, fields: list[str], writer: Writer, has_body: bool) -> bytes:
    kind, text = bodies.body(rng, writer.view.source.ip, writer.eol) if has_body else ("", "")
    if has_body:
        fields.append(writer.field("Content-Type", kind))
    for value in _lengths(rng, len(text)):
        fields.append(writer.field("Content-Length", value))
    if rng.chance(8):
        rng.shuffle(fields)
    elif rng.chance(4):
        fields.insert(0, fields.pop())
    written = writer.eol.join([line, *fields, "", text]).encode()
    while len(written) > MAX_SIZE:  # remove whole fields, the longest first
        fields.remove(max(fields, key=len))
        written = writer.eol.join([line, *fields, "", text[:MAX_SIZE]]).encode()
        if not fields:
            break
    return written[:MAX_SIZE]


def _lengths(rng: Dice, size: int) -> list[str]:
    match rng.pick(_LENGTHS):
        case "missing":
            return []
        case "too small":
            return [str(max(0, size - 20))]
        case "too large":
            return [str(size + 20)]
        case "zero":
            return ["0"]
        case "no number":
            return ["many"]
        case "twice":
            return [str(size), str(size)]
    return [rng.choices((str(size), f"  {size}", f"{size:05}"), (94, 3, 3))[0]]


def damaged(rng: Dice, payload: bytes) -> bytes:
    """The message with a few bytes changed, lost, doubled or moved."""
    data = bytearray(payload)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data)) if data else 0
        match rng.randrange(5):
            case 0:
                data[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del data[at : at + rng.choice((1, 2, 8, 64))]
            case 2:
                data[at:at] = data[at : at + rng.choice((1, 4, 16))]
            case 3:
                data[at:at] = rng.choice(
                    (b"\r\n", b" ", b"\n", b",", b";", b":", b"\0", b"sip:", b"m=audio 1 x")
                )
            case 4:
                data = data[:at] if rng.chance(30) else data
    return bytes(data[:MAX_SIZE])
