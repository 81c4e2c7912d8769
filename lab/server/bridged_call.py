"""The two dialogs of a call through a back-to-back user agent, and the requests within them.

The rules of this file:

- Each side has a dialog of its own with the server: Call-ID, tags, CSeq, Via and Contact are the server's
  (RFC 7092 section 3.1). One side never sees what the other writes there.
- The server's ``store`` says where requests to a side go: to its Contact, or to the source of its latest
  message. A Route takes precedence.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from siplab.lab.server.core import PRIVATE_OWN, ServerCore
from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.dialog import Dialog, contact_uri, next_hop
from siplab.lab.sip.messages import (
    Incoming,
    Request,
    hostport,
    line_of,
    protocol_of,
    transport_of,
    transport_parameter,
)
from siplab.lab.sip.repeater import Repeater
from siplab.lab.wire import headers
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sdp import Sdp

# Headers of one dialog or one hop; every other line is passed on unchanged.
_OWN: Final = frozenset(
    {
        b"via", b"max-forwards", b"route", b"record-route", b"from", b"to", b"call-id", b"cseq", b"contact",
        b"proxy-authorization", b"content-length", b"rack", b"replaces",
    }
)  # fmt: skip
_REFRESHING: Final = frozenset({b"INVITE", b"UPDATE"})


class Unacknowledged(NamedTuple):
    """A 200 to the INVITE with that CSeq; it is repeated until its ACK calls ``acknowledged(ack, now)``."""

    cseq: int
    repeater: Repeater
    acknowledged: Callable[[Incoming, float], None]


@dataclass(slots=True, eq=False)
class Leg:
    """One side of a call.

    - ``call_id`` and ``tag``: the server's part of its dialog; ``dialog`` exists once somebody has answered.
    - ``remote``: the source of its latest message, or where the first request went; ``observed``: whether
      requests go there and not to its Contact.
    - ``shown``: the user in the server's Contact. ``invited``: the CSeq of the latest INVITE sent to it.
    - ``description``: its latest SDP as received. ``steps``: by how much the version in o= is raised in the
      descriptions that it gets.
    - ``unacknowledged``: the 200 to its INVITE, while the ACK is missing. ``asked``: an INVITE of the
      server's own is under way.
    """

    call: BridgedCall
    call_id: bytes
    tag: bytes
    local: Endpoint
    remote: Endpoint
    transport: SipTransport
    observed: bool
    shown: bytes
    dialog: Dialog | None = None
    invited: int = 0
    description: bytes = b""
    steps: int = 0
    unacknowledged: Unacknowledged | None = None
    asked: bool = False

    def heard(self, message: Incoming) -> None:
        """A message from this side: note its source, and its Contact (RFC 3261 section 12.2)."""
        self.remote, self.local, self.transport = message.source, message.local, message.transport
        refreshes = message.method in _REFRESHING and (not message.status or 200 <= message.status < 300)
        if self.dialog is not None and refreshes:
            self.dialog.remote_target = contact_uri(message) or self.dialog.remote_target

    def settle(self) -> None:
        """The ACK has arrived, or the call is over: stop repeating the 200."""
        if self.unacknowledged is not None:
            self.unacknowledged.repeater.stop()
            self.unacknowledged = None

    def answered(self, response: Incoming, is_own: Callable[[bytes], bool]) -> None:
        """An answer to the INVITE that was sent to this side establishes the dialog, or confirms it."""
        known = self.dialog
        if known is None or known.remote_tag != response.to_tag:
            self.dialog = _without_own(Dialog.of_caller(response), is_own)
            self.dialog.local_cseq = max(response.cseq, known.local_cseq if known is not None else 0)
        self.heard(response)

    def called(self, request: Incoming, is_own: Callable[[bytes], bool]) -> None:
        """The INVITE that came from this side establishes the dialog."""
        self.dialog = _without_own(Dialog.of_callee(request, self.tag, 0), is_own)


@dataclass(slots=True, eq=False)
class BridgedCall:
    """A call. ``caller``: the side that began it; ``callee``: the side that answered, ``None`` before.

    - ``key``: the caller's Call-ID, by which relay and notifier know the call. ``legs``: all sides, including
      phones that ring.
    - ``natted``: NAT was seen at one of the two sides. ``direct``: media do not pass through the server.
      ``cancel``: stops calling the callee.
    - ``session``: the agreed session interval (RFC 4028) in seconds, 0 for none; ``refresher``: the side that
      refreshes.
    """

    key: bytes
    caller_tag: bytes
    natted: bool = False
    direct: bool = False
    legs: list[Leg] = field(default_factory=list)
    callee: Leg | None = None
    cancel: Callable[[float], None] | None = None
    session: int = 0
    refresher: Leg | None = None

    def timer_lines(self, leg: Leg) -> bytes:
        """The lines that keep the session timer running, for a re-INVITE of the server's own to a side."""
        who = b"uas" if leg is self.refresher else b"uac"
        lines = b"Supported: timer\r\nSession-Expires: %d;refresher=%b\r\n" % (self.session, who)
        return lines if self.session else b""

    @property
    def caller(self) -> Leg:
        return self.legs[0]

    def other(self, leg: Leg) -> Leg | None:
        """The other side. Before anybody has answered the caller's other side is a phone that rings."""
        if leg is not self.caller:
            return self.caller
        ringing = (each for each in self.legs[1:] if each.dialog is not None)
        return self.callee or next(ringing, None)


class Way(NamedTuple):
    """Where a request within a dialog goes."""

    uri: bytes
    routes: list[bytes]
    remote: Endpoint
    transport: SipTransport


def way_to(leg: Leg) -> Way | None:
    """Where requests to a side go; ``None`` if its Contact can't be resolved, or there is no dialog yet."""
    if leg.dialog is None:
        return None
    uri, routes, hop = leg.dialog.target()
    observed = leg.observed and not routes
    remote = leg.remote if observed else next_hop(hop)
    if remote is None:
        return None
    return Way(uri, routes, remote, leg.transport if observed else transport_of(hop))


def passed_lines(message: Incoming, but: Container[bytes] = ()) -> bytes:
    """The header lines of a message that are passed to the other side; ``but``: names to leave out."""
    fields = [each for each in message.message.fields if each.name not in _OWN and each.name not in but]
    return b"".join([line_of(each) for each in fields])


def own_contact(leg: Leg, server: ServerCore) -> bytes:
    """The server's Contact towards a side. A private one can be reached through the server's own route."""
    private = server.config.private_own
    here = PRIVATE_OWN if private else leg.local
    uri = leg.shown + (b"@" if leg.shown else b"") + hostport(here) + transport_parameter(leg.transport)
    return b"Contact: <sip:" + uri + b">\r\n"


def own_routes(leg: Leg, server: ServerCore, *, to_caller: bool = False) -> bytes:
    """The Record-Route lines that the edge of a server with private addresses adds; else none."""
    if not server.config.private_own:
        return b""
    parameter = transport_parameter(leg.transport)
    places = [leg.local, PRIVATE_OWN]  # the nearest on top; a caller reads them in reverse
    return b"".join(
        [
            b"Record-Route: <sip:" + hostport(each) + parameter + b";lr>\r\n"
            for each in (places[::-1] if to_caller else places)
        ]
    )


def request_within(
    leg: Leg, way: Way, method: bytes, cseq: int, branch: bytes, lines: bytes, body: bytes, hops: int = 70
) -> Request:
    """A request within a side's dialog; ``lines`` are whole lines."""
    dialog = leg.dialog
    assert dialog is not None
    return Request(
        method,
        way.uri,
        sent_by=leg.local,
        branch=branch,
        via=protocol_of(way.transport) + hostport(leg.local) + b";branch=" + branch,
        from_=dialog.local,
        from_tag=dialog.local_tag,
        to=dialog.remote,
        call_id=dialog.call_id,
        cseq=cseq,
        routes=b"".join([b"Route: " + each + b"\r\n" for each in way.routes]),
    ).compose(lines, body, hops=hops)


def replaced_by(value: bytes) -> tuple[bytes, bytes]:
    """Call-ID and the server's tag of the dialog that a Replaces header names (RFC 3891 section 3)."""
    call_id, _, rest = value.partition(b";")
    return call_id.strip(), headers.parameters(b";" + rest).get(b"to-tag", b"")


def raised(body: bytes, steps: int) -> bytes:
    """A session description whose version in o= is higher by ``steps`` (RFC 3264 section 8)."""
    if not steps or not body:
        return body
    sdp = Sdp.parse(body)
    line = sdp.session.first(b"o")
    words = line.value.split(b" ") if line is not None else []
    if line is None or len(words) != 6 or not words[2].isdigit():
        return body
    words[2] = b"%d" % (int(words[2]) + steps)
    line.value = b" ".join(words)
    return bytes(sdp)


def _without_own(dialog: Dialog, is_own: Callable[[bytes], bool]) -> Dialog:
    dialog.routes = [each for each in dialog.routes if not is_own(each)]
    return dialog
