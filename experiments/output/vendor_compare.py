"""``siplab vendors compare``: what several routers do to the same messages, side by side.

The rules of this file:

- Every router carries the same registration and calls of the phone in the models' examples
  (``siplab.alg_models.samples``), in the same order, through a gateway of its own.
- The phone sends the same to all routers. The server answers what reached it: it copies Via, From, To and
  Call-ID, and calls the Contact that it got. So answers may differ before they reach the routers. The column
  "as sent" has them as they reach a router that changes nothing.
- The server accepts whatever it can read, and sends to where the request came from.
- For a router that nobody has documented, only this fact is shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.text import Text

from siplab.alg_models import profiles, samples, vendors
from siplab.alg_models.controls import NONE
from siplab.alg_models.profiles import Profile
from siplab.alg_models.samples import basic
from siplab.experiments.output import changes
from siplab.experiments.output.console import grid
from siplab.experiments.output.fates import ending
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.entries import Entries
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Gateway
from siplab.lab.sip.messages import Incoming, response
from siplab.lab.wire import ip
from siplab.lab.wire.headers import name_addr
from siplab.lab.wire.ip import Packet
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import spelled
from siplab.lab.worlds.trace import Passage

Row = dict[str, Any]

ABSENT: Final = "(absent)"
_FATE: Final = "what becomes of it"
_PASSED: Final = "passed on"
_BREAKS: Final = "breaks"
_LEAST_CELL: Final = 14  # characters; bytes of the wire are broken into lines of at least this length
_URI: Final = "Request-URI"
_STATUS: Final = "status line"
# Names of ``siplab.lab.wire.compare`` for which no line of a message has a value.
_UNVALUED: Final = frozenset({"start line", "order of headers", "empty lines", "spacing", "body"})
_BYE: Final = samples.wire(b"""\
BYE sip:bob@198.51.100.20:5060 SIP/2.0
Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK77
Max-Forwards: 70
From: <sip:alice@lab.test>;tag=3
To: <sip:bob@lab.test>;tag=4
Call-ID: b95c5d87@192.168.1.20
CSeq: 2 BYE
Content-Length: 0

""")
_CALLED: Final = b"Contact: <sip:bob@198.51.100.20:5060>\r\nContent-Type: application/sdp\r\n"


class Crossing(NamedTuple):
    """One message at one router. ``left`` is empty if it was dropped; ``fate`` says what happened."""

    sent: bytes
    left: bytes
    fate: str


@dataclass
class Router:
    """One column: a model, and what it did to each message."""

    name: str
    model: Model
    crossings: dict[str, Crossing] = field(default_factory=dict)

    @property
    def unknown(self) -> str:
        """Why there is nothing to show; empty if there is something."""
        if not isinstance(self.model, Profile) or not profiles.is_unknown(self.model):
            return ""
        return f"unknown: {profiles.shortly(self.model)}"


def compare(names: Sequence[str], paths: tuple[str, ...] = ()) -> Row:
    """The comparison as data: ``routers``, and the rows of each message.

    ``names``: ids, other names or files of vendors' cards, and models' specs; ``all``: all cards. Raises
    ``UsageError`` for a name that does not exist.
    """
    wanted = [each for name in names for each in (vendors.available() if name == "all" else [name])]
    routers = [_router(name, paths) for name in dict.fromkeys(wanted)]
    reference = Router("as sent", NONE)
    for each in (reference, *routers):
        if not each.unknown:
            each.crossings = dict(_conversation(samples.gateway_for(each.model)))
    return {
        "routers": [
            {
                "name": each.name,
                "model": "unknown" if each.unknown else _behind(each.model),
                "summary": each.model.card.summary,
                **({"unknown": each.unknown} if each.unknown else {}),
            }
            for each in routers
        ],
        "messages": [
            {"message": name, "rows": _rows(name, reference.crossings[name], routers)}
            for name in reference.crossings
        ],
    }


def _router(name: str, paths: tuple[str, ...]) -> Router:
    known = trial.models(paths)
    if name.endswith((".yaml", ".yml")):
        card = vendors.load(name)
        return Router(card.id, profiles.of_card(card, known.get))
    try:
        return Router(name, known.get(name))
    except UsageError:
        identifier = vendors.search(name) if "=" not in name else None
        if identifier is None:
            raise
    return Router(name, known.get(identifier))


def _behind(model: Model) -> str:
    if isinstance(model, Profile) and model.behind is not None:
        return model.behind.id
    return model.id


# -- the conversation ------------------------------------------------------------------------------


def _conversation(gateway: Gateway) -> Iterator[tuple[str, Crossing]]:
    """A registration, a call and an incoming call through one gateway."""
    crossing, registration = _cross(gateway, samples.outbound(basic.REGISTER, 0.0))
    yield "REGISTER, going out", crossing
    told = _received(registration)
    contacts = [name_addr(value).uri for value in told.values(b"contact")] if told else []
    echoed = b"".join(b"Contact: <%b>;expires=3600\r\n" % each for each in contacts)
    yield "200 to the REGISTER, coming in", _answer(gateway, told, echoed, b"", 0.1)
    crossing, called = _cross(gateway, samples.outbound(basic.INVITE, 1.0))
    yield "INVITE, going out", crossing
    yield "200 to the INVITE, coming in", _answer(gateway, _received(called), _CALLED, basic.FAR_SDP, 1.1)
    if called is not None:
        yield "BYE, going out", _cross(gateway, samples.outbound(_BYE, 1.5))[0]
    else:
        yield "BYE, going out", Crossing(b"", b"", "not sent: the call was not made")
    yield "INVITE, coming in", _incoming_call(gateway, registration, contacts)


def _cross(gateway: Gateway, packet: samples.Packet) -> tuple[Crossing, Packet | None]:
    """Hand a packet to the gateway. Returns what left on the other side, if anything did."""
    emissions = gateway.handle(packet.data, packet.side, packet.at)
    sent = Entries().whole(Passage(packet.at, "router", packet.side, packet.data, emissions))
    payload = sent.payload if sent is not None else packet.data
    words: list[str] = []
    left: Packet | None = None
    for each in emissions:
        if each.error and each.side is not None:
            words.append(f"the model raised {each.error}")
        if each.side is packet.side.other and left is None:
            left = ip.parse(each.packet)
        elif each.side is packet.side:
            status = (
                SipMessage.parse(ip.parse(each.packet).payload).start_line.decode("utf-8", "replace").strip()
            )
            words.append(f"the router answers {status}")
        elif each.side is None:
            words.append(ending("router", each))
    if left is not None:
        words.insert(0, _PASSED)
    fate = "; ".join(words) or "nothing leaves the router"
    return Crossing(payload, left.payload if left is not None else b"", fate), left


def _received(packet: Packet | None) -> Incoming | None:
    """A request as the server gets it, with ``received`` and ``rport`` added; ``None`` if unreadable."""
    if packet is None:
        return None
    incoming = Incoming(SipMessage.parse(packet.payload), packet.source, packet.destination)
    if not incoming.method:
        return None
    incoming.stamp_via()
    return incoming


def _answer(gateway: Gateway, request: Incoming | None, headers: bytes, body: bytes, now: float) -> Crossing:
    if request is None:
        return Crossing(b"", b"", "not sent: the request did not arrive")
    message = response(request, 200, to_tag=b"2", headers=headers, body=body)
    target = request.reply_to or request.source
    return _cross(gateway, samples.inbound(message, now, source=request.local, target=target))[0]


def _incoming_call(gateway: Gateway, registration: Packet | None, contacts: list[bytes]) -> Crossing:
    if registration is None or not contacts:
        return Crossing(b"", b"", "not sent: no Contact was registered")
    message = SipMessage.parse(basic.INCOMING)
    message.request_uri = contacts[0]
    return _cross(gateway, samples.inbound(bytes(message), 2.0, target=registration.source))[0]


# -- rows --------------------------------------------------------------------------------------------


def _rows(name: str, reference: Crossing, routers: Sequence[Router]) -> list[Row]:
    """One row per part that a router changed, or that reached it otherwise than in ``reference``."""
    shown = [(each, each.crossings[name]) for each in routers if not each.unknown]
    wanted: dict[str, None] = {}
    for _, crossing in shown:
        for before, after in ((reference.sent, crossing.sent), (crossing.sent, crossing.left)):
            if before and after:
                wanted |= dict.fromkeys(_names(before, after))
    sent = _parts(reference.sent)
    order = {part: at for at, part in enumerate(sent)}
    rows = [
        {
            "part": part,
            "sent": "" if part in _UNVALUED else sent.get(part, ABSENT),
            "routers": {each.name: _cell(part, crossing) for each, crossing in shown},
        }
        for part in sorted(wanted, key=lambda part: order.get(part, len(order)))
    ]
    if any(crossing.fate != _PASSED for _, crossing in shown):
        cells = {each.name: {"before": "", "after": crossing.fate} for each, crossing in shown}
        rows.insert(0, {"part": _FATE, "sent": "", "routers": cells})
    broken = {each.name: _broken(crossing) for each, crossing in shown}
    if any(broken.values()):
        cells = {each: {"before": "", "after": words} for each, words in broken.items()}
        rows.append({"part": _BREAKS, "sent": "", "routers": cells})
    return rows


def _cell(part: str, crossing: Crossing) -> Row | None:
    """The part before and after the router; ``None`` if the message did not get through."""
    if not crossing.left:
        return None
    before, after = _parts(crossing.sent), _parts(crossing.left)
    if part in _UNVALUED:
        return {"before": "", "after": "changed" if part in _names(crossing.sent, crossing.left) else ""}
    return {"before": before.get(part, ABSENT), "after": after.get(part, ABSENT)}


def _names(before: bytes, after: bytes) -> list[str]:
    """What differs, by the names of ``_parts`` if these are precise enough."""
    old, new = _parts(before), _parts(after)
    finer = {
        "start line": [part for part in (_URI, _STATUS) if old.get(part) != new.get(part)],
        "body": [
            part
            for part in dict.fromkeys((*old, *new))
            if part[:4] == "SDP " and old.get(part) != new.get(part)
        ],
    }
    found = [each for part in changes.change(before, after).parts for each in finer.get(part) or [part]]
    return list(dict.fromkeys(found))


def _parts(data: bytes) -> dict[str, str]:
    """The values of a message by the names of their parts, in its order; several are joined by line feeds."""
    message = SipMessage.parse(data)
    found: dict[str, list[bytes]] = {}
    if message.is_response:
        found[_STATUS] = [message.start_line.strip()]
    else:
        found[_URI] = [message.request_uri]
    for each in message.fields:
        found.setdefault(spelled(each.name) or "line without a name", []).append(each.value)
    for section in Sdp.parse(message.body).sections if message.body else ():
        for line in (*([section.media] if section.media else ()), *section.lines):
            found.setdefault(f"SDP {line.type.decode('latin-1')}=", []).append(line.value)
    return {
        part: "\n".join(value.decode("utf-8", "backslashreplace") for value in values)
        for part, values in found.items()
    }


def _broken(crossing: Crossing) -> str:
    if not crossing.left:
        return ""
    found = changes.broken(crossing.sent, crossing.left)
    return "\n".join(dict.fromkeys(f"{each.reference}: {each.sentence}" for each in found))


# -- printing ----------------------------------------------------------------------------------------


def print_comparison(data: Row, console: Console) -> None:
    """Print one table per message: as sent, and what each router made of it; ``=`` means no change."""
    for each in data["routers"]:
        console.print(Text.assemble((each["name"], "bold"), f"  {each.get('unknown') or each['summary']}"))
    for message in data["messages"]:
        console.print()
        rows: list[list[str | Text]] = []
        for number, row in enumerate(message["rows"]):
            cells = [
                _told(row, each)
                if "unknown" not in each
                else Text(each["unknown"] if number == 0 else "", "dim")
                for each in data["routers"]
            ]
            rows.append([row["part"], row["sent"], *cells])
        if rows:
            heads = ("", "as sent", *(each["name"] for each in data["routers"]))
            title = Text(message["message"], "bold cyan")
            console.print(grid(heads, rows, console.width, breakable=_LEAST_CELL, title=title))
        else:
            unknown = [each for each in data["routers"] if "unknown" in each]
            none = "nothing is known" if len(unknown) == len(data["routers"]) else "no router changes it"
            console.print(Text.assemble((message["message"], "bold cyan"), f": {none}"))


def _told(row: Row, router: Row) -> Text:
    cell = row["routers"][router["name"]]
    if cell is None:
        return Text("-", "dim")
    before, after = cell["before"], cell["after"]
    if not before or row["part"] in (_FATE, _BREAKS):
        return Text(after, "" if after == _PASSED else "yellow")
    if before == after:
        return Text("=" if before == row["sent"] else f"= {after}", "dim")
    lead = "" if before == row["sent"] else f"{before}\n-> "
    return Text.assemble(lead, (after, "yellow"))
