"""The probe client: sends probes to a reflector, answers its requests, and finds out what became of each.

The course of an examination:

1. *Order*: on the control port the client tells the reflector what to do about each probe.
2. *Probes*, one after the other. A probe is over when all that it should bring has arrived, or after two
   attempts.
3. *Report*: what did the reflector receive and send? Datagrams that the client knows only by their digest it
   requests in full.
4. *Again*: probes of which something is missing are repeated at RFC 3261's intervals, each with a *twin*:
   the same message to the reflector's other port. A message that never arrives while its twins do was not
   lost by chance.

The rules of this file:

- The client knows what a phone on a strange network knows: its own address, the reflector's, and what
  arrives.
- ``observe`` says what happened, and draws no conclusions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from siplab.lab.probing.probe_book import MOST_ROWS, ProbeLog, Row, told_endpoint
from siplab.lab.probing.probe_messages import description
from siplab.lab.probing.probe_plan import T1, Observations, Probe, ReflectorAddress
from siplab.lab.probing.probe_wire import digest, kind_of, marks_of, new_mark, pack, unpack
from siplab.lab.sip.base import Action, Agent, Listen, Send
from siplab.lab.sip.messages import Incoming, hostport, response
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

T2: Final = 4.0
_CONTROL_TRIES: Final = 10
_QUICK_TRIES: Final = 2
_AT_ONCE: Final = 8  # datagrams that are requested at a time
ROUNDS: Final = 10  # how often missing messages are repeated
_MOST_MISSING: Final = 6  # probes that are repeated: enough to distinguish a pattern from chance
_ROUNDS_BESIDE_CHANGES: Final = 2


class Stage(Enum):
    """How far the examination is."""

    ORDER = "order"
    PROBES = "probes"
    REPORT = "report"
    FETCH = "fetch"
    AGAIN = "again"
    DONE = "done"


class ProbeClient(Agent):
    """Carries out one examination.

    ``rest``: seconds between the last probe and the first report. ``rounds``: how often missing messages are
    repeated.
    """

    def __init__(
        self,
        local: Endpoint,
        site: ReflectorAddress,
        probes: Sequence[Probe],
        rng: random.Random,
        *,
        rest: float = 0.0,
        rounds: int = ROUNDS,
    ) -> None:
        super().__init__()
        self._rest = rest
        self._rounds = rounds
        self._resting = False
        self.local = local
        self.site = site
        self._probes = {new_mark(rng): probe for probe in probes}
        self._log = ProbeLog(local, site, self._probes)
        self._queue = list(self._probes)
        self._rng = rng
        self._session = b"%016x" % rng.getrandbits(64)
        self._control = Endpoint(local.ip, 50000 + rng.randrange(5000) * 2)
        self._stage = Stage.ORDER
        self._tries = 0
        self._round = 0
        self._next: float | None = None
        self._current = b""
        self._answers: dict[str, Incoming] = {}
        self._named: dict[str, bytes] = {}
        self._ordered: set[int] = set()
        self._total = -1  # rows of the reflector's report
        self._wanted: list[str] = []
        self._missing: list[bytes] = []

    # -- the world -------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        return self._stage is Stage.DONE

    def start(self, now: float) -> list[Action]:
        ports = dict.fromkeys([self.local.port, *(each.source for each in self._probes.values())])
        actions: list[Action] = [Listen(Endpoint(self.local.ip, port)) for port in ports if port]
        return [*actions, Listen(self._control), *self._enter(Stage.ORDER, now)]

    def next_timer(self) -> float | None:
        return self._next

    def on_timer(self, now: float) -> list[Action]:
        if self._stage is Stage.PROBES:
            return self._probe(now)
        if self._stage is Stage.AGAIN:
            return self._enter(Stage.REPORT, now)
        if self._stage is Stage.DONE:
            self._next = None
            return []
        return self._converse(now)

    def on_unreachable(self, remote: Endpoint, local: Endpoint, now: float) -> list[Action]:
        self._log.unreachable += 1
        return []

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if local == self._control:
            content = unpack(payload) if source.ip == self.site.ip else None
            if content is None or content.get("s") != self._session.decode():
                return []
            return self._on_control(content, now)
        self._log.hears(local, source, payload, now)
        actions: list[Action] = []
        marks = marks_of(payload)
        mine = next((mark for mark in marks if mark in self._log.came), None)
        if mine is None and not marks:
            mine = self._current
        if mine is None:
            return []  # somebody else's, or one of another examination
        incoming = Incoming(SipMessage.parse(payload), source, local)
        if incoming.status:
            self._answers[self._name_of(mine)] = incoming
        elif incoming.method and incoming.method != b"ACK":
            actions.append(self._answer(incoming, now))
        self._log.came.setdefault(mine, set()).add(kind_of(payload))
        if self._stage is Stage.PROBES and mine == self._current and self._is_complete(mine):
            actions += self._probe(now)
        return actions

    # -- the course --------------------------------------------------------------------------------

    def _enter(self, stage: Stage, now: float) -> list[Action]:
        self._stage, self._tries = stage, 0
        if stage is Stage.PROBES:
            return self._probe(now)
        if stage is Stage.AGAIN:
            return self._again(now)
        if stage is Stage.DONE:
            self._next = None
            return []
        if stage is Stage.REPORT:
            self._log.rows, self._total, self._log.asked_at = {}, -1, now
        return self._converse(now)

    def _probe(self, now: float) -> list[Action]:
        """Send the current probe (again), or the next ones until one should bring an answer."""
        actions: list[Action] = []
        while True:
            if self._current and not self._is_complete(self._current) and self._tries < _QUICK_TRIES:
                self._tries += 1
                self._next = now + self._probes[self._current].wait * 2 ** (self._tries - 1)
                return [*actions, self._send(self._current, now)]
            if self._current and not self._probes[self._current].due and not self._tries:
                self._tries = 1
                actions.append(self._send(self._current, now))
            if not self._queue:
                if self._rest and not self._resting:
                    self._next, self._resting = now + self._rest, True
                    return actions
                if self._resting and self._next is not None and now < self._next:
                    return actions
                return actions + self._enter(Stage.REPORT, now)
            self._current, self._tries = self._queue.pop(0), 0
            self._log.came[self._current] = set()

    def _is_complete(self, mark: bytes) -> bool:
        return len(self._log.came.get(mark, ())) >= self._probes[mark].due

    def _name_of(self, mark: bytes) -> str:
        return self._probes[mark].name if mark in self._probes else ""

    def _send(self, mark: bytes, now: float) -> Action:
        probe = self._probes[mark]
        wire = self._log.wires.get(mark)
        if wire is None:
            wire = self._log.wires[mark] = probe.compose(mark, self._answers, self._named)
            self._named[probe.name] = wire
        remote = Endpoint(self.site.ip, self._log.port_of(probe))
        if self.site.proxy is not None and not probe.direct and not probe.port:
            remote = self.site.proxy
        return self._put(self._source(probe), remote, wire, now)

    def _source(self, probe: Probe) -> Endpoint:
        return Endpoint(self.local.ip, probe.source) if probe.source else self.local

    def _put(self, local: Endpoint, remote: Endpoint, wire: bytes, now: float) -> Action:
        self._log.sends(local, remote, wire, now)
        return Send(local, remote, wire)

    def _answer(self, request: Incoming, now: float) -> Action:
        """Answer 200 to any request of the reflector, by the usual rules: Via and Contact as they arrived."""
        own = Endpoint(self.local.ip, self.local.port)
        lines = b"Contact: <sip:probe@" + hostport(own) + b">\r\n"
        body = b""
        if request.method == b"INVITE":
            body = description(own, 2)
            lines += b"Content-Type: application/sdp\r\n"
        request.stamp_via()
        wire = response(request, 200, to_tag=b"p1", headers=lines, body=body)
        return self._put(request.local, request.source, wire, now)

    # -- the control channel -------------------------------------------------------------------------

    def _converse(self, now: float) -> list[Action]:
        """Send (again) the requests of this stage."""
        if self._tries >= _CONTROL_TRIES:  # incomplete knowledge is no basis for conclusions
            self._log.complete = False
            return self._enter(Stage.DONE, now)
        self._tries += 1
        self._next = now + min(T1 * 2 ** (self._tries - 1), T2)
        return [self._ask(each) for each in self._questions()]

    def _questions(self) -> list[dict[str, Any]]:
        if self._stage is Stage.ORDER:
            pairs = [(mark.decode(), list(probe.orders)) for mark, probe in self._probes.items()]
            return [
                {"t": "order", "n": start, "do": dict(pairs[start : start + 24])}
                for start in range(0, len(pairs), 24)
                if start not in self._ordered
            ]
        if self._stage is Stage.REPORT:
            known = 0
            while known in self._log.rows:
                known += 1
            return [{"t": "report", "n": self._round, "from": known}]
        return [{"t": "fetch", "id": each} for each in self._wanted[:_AT_ONCE]]

    def _ask(self, content: dict[str, Any]) -> Action:
        content["s"] = self._session.decode()
        return Send(self._control, Endpoint(self.site.ip, self.site.control), pack(content))

    def _on_control(self, content: dict[str, Any], now: float) -> list[Action]:
        try:
            return self._told(content, now)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            return []  # no reflector sends such content

    def _told(self, content: dict[str, Any], now: float) -> list[Action]:
        kind, book = content.get("t"), self._log
        if kind == "ok" and self._stage is Stage.ORDER:
            book.public = told_endpoint(*content["you"])
            self._ordered.add(int(content["n"]))
            return [] if self._questions() else self._enter(Stage.PROBES, now)
        if kind == "rows" and self._stage is Stage.REPORT and content.get("n") == self._round:
            start, rows = int(content["from"]), [Row(each) for each in content["rows"]]
            self._total = int(content["of"])
            if self._total > MOST_ROWS or start < 0 or start + len(rows) > MOST_ROWS:
                raise ValueError("no reflector remembers so much")
            book.rows.update(enumerate(rows, start))
            if len(book.rows) >= self._total:
                self._wanted = book.unknown()
                return self._enter(Stage.FETCH, now) if self._wanted else self._assessed(now)
            if rows:
                self._tries = 0
                return self._converse(now)
        if kind == "record" and self._stage is Stage.FETCH:
            text = content["data"].encode("latin-1")
            if content["id"] in self._wanted and digest(text) == content["id"]:
                self._wanted.remove(content["id"])
                book.texts[content["id"]] = text
                if not self._wanted:
                    return self._assessed(now)
                self._tries = 1
                if len(self._wanted) % _AT_ONCE == 0:
                    return self._converse(now)
        return []

    # -- again -----------------------------------------------------------------------------------------

    def _assessed(self, now: float) -> list[Action]:
        """The report is complete: repeat the probes of which something is missing, or end."""
        self._log.complete = True
        self._missing = self._log.lacking()[:_MOST_MISSING]
        rounds = min(_ROUNDS_BESIDE_CHANGES, self._rounds) if self._log.is_changed() else self._rounds
        if not self._missing or self._round >= rounds:
            return self._enter(Stage.DONE, now)
        self._round += 1
        return self._enter(Stage.AGAIN, now)

    def _again(self, now: float) -> list[Action]:
        self._next = now + min(T1 * 2 ** (self._round - 1), T2)
        actions: list[Action] = []
        orders: dict[str, list[str]] = {}
        for mark in self._missing:
            twin = new_mark(self._rng)
            self._log.twins.setdefault(mark, []).append(twin)
            orders[twin.decode()] = list(self._probes[mark].orders)
            self._log.came[twin] = set()
            actions.append(self._send(mark, now))
        # The orders for the twins go first; if these are lost, the reflector still hears the twins.
        order = self._ask({"t": "order", "n": -self._round, "do": orders})
        for mark in self._missing:
            twin = self._log.twins[mark][-1]
            wire = self._log.wires[mark].replace(mark, twin)
            probe = self._probes[mark]
            remote = Endpoint(self.site.ip, self.site.other)
            actions.append(self._put(self._source(probe), remote, wire, now))
        return [order, *actions]

    def observe(self) -> Observations:
        """What happened, once it is ``done``."""
        return self._log.observe()
