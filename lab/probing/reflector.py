"""The reflector: a server that reports what it received, and carries out a client's earlier orders.

On the control port a probe client says what to do about each of its marks. Then probes arrive on the SIP
ports. The reflector records every datagram that it receives and sends. Over the control port it returns this
list, and any datagram in full.

The rules of this file:

- It sends only to the source of a probe of a known session, one message per order.
- Each copy of a probe is treated in the same way again, so repeating the probe repeats a lost message, too.
- It makes its messages from the probe *as it arrived*, as servers do: what an ALG wrote into a Via or a
  Contact comes back.

An order is one text: ``200``, ``200+sdp`` or ``200+all`` (a response, with a session description or with
everything that the probe had); ``INVITE``, ``OPTIONS+sdp``... (a request of its own to the Contact of the
probe); ``in:BYE`` (a request within the dialog); ``pong`` (an empty line); ``stun``; ``echo``. ``@20`` before
an order delays it by that many seconds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from siplab.lab.media import stun
from siplab.lab.probing.anti_amplification import network_of
from siplab.lab.probing.probe_wire import (
    LARGEST,
    digest,
    find_marks,
    is_mark,
    kind_of,
    marks_of,
    pack,
    unpack,
)
from siplab.lab.probing.real_calls import OF_METHOD, OF_STATUS
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.sip.messages import Incoming, hostport, name_addr_of, response
from siplab.lab.sip.timers import Timers
from siplab.lab.wire.headers import split_list
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

CONTROL_PORT: Final = 7077
RTP_PORT: Final = 40400
_PAGE: Final = 40  # rows of a report in one datagram
_LONGEST_ORDER: Final = 64  # characters
_LONGEST_NAME: Final = 32  # characters of a session's name
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]*)?")
NAME: Final = b"Server: siplab-witness\r\n"
# Fields that a response has anyway, or can't copy from a request.
_OWN_FIELDS: Final = frozenset(
    (
        b"via",
        b"from",
        b"to",
        b"call-id",
        b"cseq",
        b"contact",
        b"content-length",
        b"max-forwards",
        b"user-agent",
    )
)


@dataclass(frozen=True)
class Limits:
    """What a reflector stores at most, and how long an order may make it wait.

    ``record_bytes``: per session. ``text``: bytes of an unpacked request. ``wait``: in seconds. ``waiting``:
    how many orders may be delayed at a time; ``waiting_each``: of one session. ``peers``: addresses from
    which one session's probes may come.
    """

    sessions: int = 64
    per_source: int = 64
    orders: int = 100_000
    order_length: int = 64
    records: int = 4096
    record_bytes: int = 1 << 40
    text: int = LARGEST
    wait: float = 86400.0
    waiting: int = 100_000
    waiting_each: int = 100_000
    peers: int = 100_000


@dataclass
class Record:
    """A datagram that the reflector received (or sent): how often, and when, in seconds on its clock."""

    heard: bool
    port: int
    peer: Endpoint
    payload: bytes
    count: int = 0
    first: float = 0.0
    last: float = 0.0

    def row(self) -> list[Any]:
        """The record without its bytes, for a report."""
        peer = self.peer
        return [
            int(self.heard), self.port, peer.ip, peer.port, digest(self.payload), self.count,
            round(self.first, 6), round(self.last, 6),
        ]  # fmt: skip


@dataclass
class Session:
    """One client's orders, by mark, and the records of its datagrams."""

    client: str = ""
    limits: Limits = Limits()
    orders: dict[bytes, list[str]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    known: dict[tuple[bool, int, Endpoint, bytes], Record] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)  # digest in rows -> datagram of a record
    peers: set[str] = field(default_factory=set)
    size: int = 0  # bytes of the records
    waiting: int = 0  # delayed orders

    def write(self, heard: bool, port: int, peer: Endpoint, payload: bytes, now: float) -> None:
        key = (heard, port, peer, payload)
        record = self.known.get(key)
        if record is None:
            size = self.size + len(payload)
            if len(self.records) >= self.limits.records or size > self.limits.record_bytes:
                return
            self.size = size
            record = self.known[key] = Record(heard, port, peer, payload, first=now)
            self.records.append(record)
            self.texts.setdefault(digest(payload), payload)
        record.count += 1
        record.last = now


class Reflector(Agent):
    """Listens at ``ports`` for probes and at ``control`` for its clients.

    ``shown``: the endpoint that it writes into its messages as its own, for instance a private one; ``None``:
    the endpoint at which it listens.
    """

    def __init__(
        self,
        ip: str,
        ports: Sequence[int],
        control: int = CONTROL_PORT,
        limits: Limits = Limits(),
        shown: Endpoint | None = None,
    ) -> None:
        super().__init__()
        self._limits = limits
        self._shown = shown
        self._waiting = 0
        self._control = Endpoint(ip, control)
        self._locals = [Endpoint(ip, port) for port in (*ports, RTP_PORT)]
        self._sessions: dict[str, Session] = {}
        self._by_mark: dict[bytes, Session] = {}
        self._by_peer: dict[str, Session] = {}
        self._timers = Timers()
        self._outbox: list[Action] = []

    def start(self, now: float) -> list[Action]:
        return [Listen(local) for local in (self._control, *self._locals)]

    def next_timer(self) -> float | None:
        return self._timers.next()

    def on_timer(self, now: float) -> list[Action]:
        self._timers.run(now)
        return self._flush()

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if local.port == self._control.port:
            self._converse(payload, source, local)
        else:
            self._hear(payload, source, local, now)
        return self._flush()

    def _flush(self) -> list[Action]:
        actions, self._outbox = self._outbox, []
        return actions

    def client_of(self, payload: bytes) -> str | None:
        """The address of the client that announced a probe with that mark; ``None`` if nobody did."""
        known = (self._by_mark.get(mark) for mark in find_marks(payload))
        return next((session.client for session in known if session is not None), None)

    def knows_source(self, source: Endpoint) -> bool:
        """Whether a client of a session has that address."""
        return source.ip in self._by_peer

    @property
    def sessions(self) -> int:
        """How many sessions are remembered."""
        return len(self._sessions)

    # -- the control channel ---------------------------------------------------------------------

    def _converse(self, payload: bytes, source: Endpoint, local: Endpoint) -> None:
        asked = unpack(payload, self._limits.text)
        if asked is None or not isinstance(asked.get("s"), str) or len(asked["s"]) > _LONGEST_NAME:
            return
        name, kind = asked["s"], asked.get("t")
        answer: dict[str, Any] | None = None
        if kind == "order" and isinstance(asked.get("do"), dict):
            self._order(name, asked["do"], source)
            answer = {"t": "ok", "you": [source.ip, source.port]}
        session = self._sessions.get(name)
        if session is None:
            return
        if kind == "report" and isinstance(asked.get("from"), int):
            start = max(0, asked["from"])
            rows = [record.row() for record in session.records[start : start + _PAGE]]
            answer = {"t": "rows", "from": start, "of": len(session.records), "rows": rows}
        elif kind == "fetch" and isinstance(asked.get("id"), str):
            text = session.texts.get(asked["id"])
            if text is not None:
                answer = {"t": "record", "id": asked["id"], "data": text.decode("latin-1")}
        if answer is not None:
            answer["s"] = name
            if "n" in asked:
                answer["n"] = asked["n"]
            self._outbox.append(Send(local, source, pack(answer)))

    def _order(self, name: str, orders: dict[str, Any], source: Endpoint) -> None:
        if name not in self._sessions:
            self._make_room(source.ip)
        session = self._sessions.setdefault(name, Session(source.ip, self._limits))
        if source.ip not in session.peers and len(session.peers) >= self._limits.peers:
            return
        session.peers.add(source.ip)
        self._by_peer[source.ip] = session
        for mark, rows in orders.items():
            if isinstance(rows, list) and len(rows) <= self._limits.order_length:
                if len(session.orders) >= self._limits.orders:
                    break
                key = mark.encode("ascii", "replace")
                texts = [each for each in rows if isinstance(each, str) and len(each) <= _LONGEST_ORDER]
                if is_mark(key) and len(texts) == len(rows):
                    session.orders[key] = texts
                    self._by_mark[key] = session

    def _make_room(self, client: str) -> None:
        """Forget the client's oldest session if it has many, or the oldest of all."""
        network = network_of(client)
        own = [name for name, each in self._sessions.items() if network_of(each.client) == network]
        if len(own) >= self._limits.per_source:
            self._forget(own[0])
        while len(self._sessions) >= self._limits.sessions:
            self._forget(next(iter(self._sessions)))

    def _forget(self, name: str) -> None:
        gone = self._sessions.pop(name)
        for mark in gone.orders:
            if self._by_mark.get(mark) is gone:
                del self._by_mark[mark]
        for peer in gone.peers:
            if self._by_peer.get(peer) is gone:
                del self._by_peer[peer]

    # -- what arrives on the other ports -----------------------------------------------------------

    def _hear(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> None:
        marks = [mark for mark in marks_of(payload) if mark in self._by_mark]
        session = self._by_mark[marks[0]] if marks else self._by_peer.get(source.ip)
        if session is None:
            return
        if source.ip not in session.peers:
            if len(session.peers) >= self._limits.peers:
                return
            session.peers.add(source.ip)
        if marks and not self._is_anothers(source.ip, session):
            self._by_peer[source.ip] = session
        session.write(True, local.port, source, payload, now)
        if not marks:
            if kind_of(payload) == "empty lines (4 bytes)":  # RFC 5626 section 4.4.1
                self._say(session, local, source, b"\r\n", now)
            return
        incoming = Incoming(SipMessage.parse(payload), source, local)
        if incoming.status:
            self._on_response(session, incoming, marks[0], now)
            return
        if incoming.method == b"ACK":  # an ACK has no answer, and a proxy may have made it
            return
        for number, order in enumerate(session.orders[marks[0]]):
            delay, _, what = order.rpartition(" ")
            work = _Work(session, what, incoming, payload, marks[0], number)
            if delay[:1] == "@":
                seconds = float(delay[1:]) if _SECONDS.fullmatch(delay[1:]) else 0.0
                limits = self._limits
                if self._waiting < limits.waiting and session.waiting < limits.waiting_each:
                    self._waiting += 1
                    session.waiting += 1
                    self._timers.start(now + min(seconds, self._limits.wait), self._carry_out_late, work)
            else:
                self._carry_out(work, now)

    def _is_anothers(self, ip: str, session: Session) -> bool:
        """Whether an address is another session's client: anybody can forge it in a datagram."""
        known = self._by_peer.get(ip)
        return known is not None and known.client == ip != session.client

    def _on_response(self, session: Session, answer: Incoming, mark: bytes, now: float) -> None:
        """Acknowledge a 2xx to our INVITE, and end the call."""
        if answer.method != b"INVITE" or not 200 <= answer.status < 300:
            return
        for method in (b"ACK", b"BYE"):
            wire = _within(method, answer, mark, answer.value(b"from"), answer.value(b"to"), self._at(answer))
            self._say(session, answer.local, answer.source, wire, now)

    def _own(self, incoming: Incoming) -> Endpoint:
        """The endpoint that it names as its own in messages made from ``incoming``."""
        return self._shown or incoming.local

    def _at(self, incoming: Incoming) -> bytes:
        return hostport(self._own(incoming))

    def _carry_out_late(self, work: _Work, now: float) -> None:
        self._waiting -= 1
        work.session.waiting -= 1
        self._carry_out(work, now)

    def _carry_out(self, work: _Work, now: float) -> None:
        wire = self._message(work)
        if wire is not None:
            self._say(work.session, work.probe.local, work.probe.source, wire, now)

    def _message(self, work: _Work) -> bytes | None:
        """The message that one order makes from the probe as it arrived; ``None`` if that is impossible."""
        what, _, with_body = work.what.partition("+")
        probe = work.probe
        if what == "stun":
            return stun.answer(work.payload, probe.source)
        if what == "echo":
            return work.payload
        own = self._at(probe)
        if what.isascii() and what.isdigit() and len(what) == 3 and probe.method:
            return self._response(probe, int(what), with_body, own)
        body = session_description(self._own(probe).ip) if with_body else b""
        if what.startswith("in:"):
            tagged = probe.value(b"to")
            if not probe.to_tag:
                tagged += b";tag=" + _tag(probe)
            return _within(what[3:].encode(), probe, work.mark, tagged, probe.value(b"from"), own, body)
        if what.isalpha() and what.isupper():
            return _fresh(what.encode(), probe, work, own, body)
        return None

    def _response(self, probe: Incoming, status: int, with_body: str, own: bytes) -> bytes:
        lines = NAME + OF_STATUS.get(status, b"")
        if with_body == "all":
            return self._with_all(probe, status, own)
        if probe.method == b"REGISTER":  # the registered Contacts, as they arrived (RFC 3261 section 10.3)
            expires = probe.value(b"expires") or b"3600"
            contacts = [each for each in probe.values(b"contact") if each != b"*"]
            lines += b"".join(b"Contact: " + each + b";expires=" + expires + b"\r\n" for each in contacts)
        elif status > 100:
            lines += b"Contact: <sip:witness@" + own + b">\r\n"
            routes = [field for field in probe.message.fields if field.name == b"record-route"]
            lines += b"".join(field.raw for field in routes if field.raw.endswith(b"\r\n"))
        body = b""
        if with_body:
            body = session_description(self._own(probe).ip)
            lines += b"Content-Type: application/sdp\r\n"
            if with_body == "big":
                body += b"".join(b"a=x-filler:%03d %s\r\n" % (number, b"y" * 60) for number in range(16))
        probe.stamp_via()
        return response(probe, status, to_tag=b"" if status == 100 else _tag(probe), headers=lines, body=body)

    def _with_all(self, probe: Incoming, status: int, own: bytes) -> bytes:
        """A response with the fields and the body of the probe, as they arrived: no larger than the probe."""
        fields = (field for field in probe.message.fields if field.name not in _OWN_FIELDS)
        lines = NAME + b"Contact: <sip:witness@%b>\r\n" % own
        lines += b"".join(field.raw for field in fields if field.raw.endswith(b"\r\n"))
        body = probe.message.body
        probe.stamp_via()
        return response(probe, status, to_tag=_tag(probe), headers=lines, body=body)

    def _say(self, session: Session, local: Endpoint, peer: Endpoint, wire: bytes, now: float) -> None:
        session.write(False, local.port, peer, wire, now)
        self._outbox.append(Send(local, peer, wire))


def session_description(own: str) -> bytes:
    """The reflector's SDP, which names only its own address."""
    family = b"IP6" if ":" in own else b"IP4"
    ip = own.encode()
    return b"v=0\r\no=witness 1 1 IN %b %b\r\ns=-\r\nc=IN %b %b\r\nt=0 0\r\nm=audio %d RTP/AVP 0\r\n" % (
        family,
        ip,
        family,
        ip,
        RTP_PORT,
    )


@dataclass
class _Work:
    """One order about one probe that arrived."""

    session: Session
    what: str
    probe: Incoming
    payload: bytes
    mark: bytes
    number: int


def _tag(probe: Incoming) -> bytes:
    return b"w%08x" % zlib.crc32(probe.call_id)


def _contact(message: Incoming) -> bytes:
    """The URI of the first Contact; without a Contact that of From."""
    value = message.value(b"contact") or message.value(b"from")
    start, end = split_list(value)[0]
    return name_addr_of(value[start:end].strip()).uri or b"sip:nobody@invalid"


def _within(
    method: bytes, heard: Incoming, mark: bytes, from_: bytes, to: bytes, own: bytes, body: bytes = b""
) -> bytes:
    """A request in the dialog of a message that arrived, to the Contact in it."""
    branch = mark + b"-%b" % method.lower()
    number = heard.cseq if method == b"ACK" else heard.cseq + 1
    return _request(method, _contact(heard), branch, from_, to, heard.call_id, max(number, 1), own, body)


def _fresh(method: bytes, probe: Incoming, work: _Work, own: bytes, body: bytes) -> bytes:
    """A request outside any dialog, to the probe's Contact."""
    branch = work.mark + b"-%d" % work.number
    from_ = b"<sip:witness@" + own + b">;tag=" + work.mark + b"-%d" % work.number
    call_id = work.mark + b"-%d" % work.number
    to = b"<" + _contact(probe) + b">"
    return _request(method, _contact(probe), branch, from_, to, call_id, 1, own, body)


def _request(
    method: bytes,
    uri: bytes,
    branch: bytes,
    from_: bytes,
    to: bytes,
    call_id: bytes,
    cseq: int,
    own: bytes,
    body: bytes,
) -> bytes:
    lines = [
        b"%b %b SIP/2.0" % (method, uri),
        b"Via: SIP/2.0/UDP %b;rport;branch=z9hG4bK%b" % (own, branch),
        b"Max-Forwards: 70",
        b"From: " + from_,
        b"To: " + to,
        b"Call-ID: " + call_id,
        b"CSeq: %d %b" % (cseq, method),
        b"Contact: <sip:witness@%b>" % own,
        b'P-Asserted-Identity: "Witness" <sip:witness@%b>' % own,
        b"User-Agent: siplab-witness",
    ]
    if method in OF_METHOD:
        lines.append(OF_METHOD[method].removesuffix(b"\r\n"))
    if body:
        lines.append(b"Content-Type: application/sdp")
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
