"""The probe client: sends probes to a witness, answers what it provokes, and finds out what became of all.

The course of an examination:

1. *Order*: the witness learns, on the control port, what to do about each probe.
2. *Probes*, one after the other, each until what it should bring has come, or twice in vain.
3. *Report*: what did the witness hear and say? What the client does not know by its digest it asks for in full.
4. *Again*: probes of which something is missing are repeated, at RFC 3261's intervals, each beside a *twin*: the
   same message to the witness' other port. What never arrives while its twins do was not lost by chance.

The rules of this file:

- It knows what a phone on a strange network knows: its own address, the witness', and what arrives.
- ``observe`` says what happened, and judges nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, Final

from lab.agents.base import Action, Agent, Listen, Send
from lab.agents.messages import Incoming, hostport, response
from lab.agents.observation import Crossing, Letter, compare
from lab.agents.probe_messages import description
from lab.agents.probe_wire import digest, kind_of, marks_of, new_mark, pack, unpack
from lab.agents.proxied import is_proxys_own, without_proxy
from lab.agents.witness import CONTROL_PORT
from lab.wire.ip import Endpoint
from lab.wire.sip import SipMessage

T1: Final = 0.5  # seconds, RFC 3261 section 17.1.1.1
T2: Final = 4.0
_CONTROL_TRIES: Final = 10
_QUICK_TRIES: Final = 2
ROUNDS: Final = 10  # how often what is missing is repeated
_MOST_MISSING: Final = 6  # probes that are repeated: enough to tell a pattern from bad luck
_ROUNDS_BESIDE_CHANGES: Final = 2
ENOUGH: Final = 5  # copies that must be missing, and twins that must have got through

OTHER: Final = -1

Answers = Mapping[str, Incoming]
Compose = Callable[[bytes, Answers, Mapping[str, bytes]], bytes]
"""``compose(mark, answers, sent)``: a probe's bytes, from the last answer to each probe before it and
what those probes were, by name."""


@dataclass(frozen=True)
class Probe:
    """One probe: its name, its bytes (made when it is sent), and the witness' orders.

    ``direct``: past the proxy, if there is one. ``expects`` is how many different messages it should bring. ``port`` and ``source`` are the witness'
    and the client's port, 0 for the usual ones; ``OTHER`` is the witness' other port.
    """

    name: str
    compose: Compose
    orders: tuple[str, ...] = ()
    expects: int = -1
    port: int = 0
    source: int = 0
    direct: bool = False
    wait: float = T1

    @property
    def due(self) -> int:
        return len(self.orders) if self.expects < 0 else self.expects


@dataclass(frozen=True)
class Site:
    """A witness as its clients know it, and the proxy by way of which they should speak to it, if any."""

    ip: str
    port: int = 5060
    other: int = 6060
    control: int = CONTROL_PORT
    proxy: Endpoint | None = None


class Stage(Enum):
    """How far the examination is."""

    ORDER = "order"
    PROBES = "probes"
    REPORT = "report"
    FETCH = "fetch"
    AGAIN = "again"
    DONE = "done"


@dataclass
class Observations:
    """What an examination found out. ``complete``: the witness was heard to the end.

    ``crossings`` are of the probes; ``twins`` has, for each repeated probe, what became of each of its twins on
    the other port: whether the witness heard it, and the kinds of what it brought. ``mappings``: for each of the
    client's and the witness' ports between which probes went, what the witness heard from where.
    """

    local: Endpoint
    site: Site
    complete: bool
    crossings: list[Crossing] = field(default_factory=list)
    probes: dict[bytes, Probe] = field(default_factory=dict)
    unmarked: dict[bytes, bytes] = field(default_factory=dict)  # bytes of a probe without a mark -> its mark
    twins: dict[bytes, list[tuple[bool, frozenset[str]]]] = field(default_factory=dict)
    mappings: dict[tuple[int, int], list[Letter]] = field(default_factory=dict)
    public: Endpoint | None = None  # of the control flow
    unreachable: int = 0

    def owner(self, crossing: Crossing) -> bytes:
        """The mark of the probe that a message is, or belongs to; empty for none."""
        for mark in crossing.marks:
            if mark in self.probes:
                return mark
        if crossing.marks or not self.unmarked:
            return b""
        if crossing.outbound and crossing.sent is not None:
            return self.unmarked.get(crossing.sent.payload, b"")
        return next(iter(self.unmarked.values()))

    def is_gone(self, crossing: Crossing) -> bool:
        """Whether a missing message was kept back: repeated in vain while its twins got through.

        Beside messages that arrived changed less is enough.
        """
        if crossing.sent is None or crossing.arrived is not None:
            return False
        twins = self.twins.get(self.owner(crossing), [])
        through = sum(heard if crossing.outbound else crossing.kind in kinds for heard, kinds in twins)
        enough = 2 if self.changed else ENOUGH
        return crossing.sent.count >= enough and through >= enough

    @cached_property
    def changed(self) -> list[tuple[Crossing, list[str]]]:
        """Messages that arrived otherwise than they were sent, with the names of what changed."""
        rows = [(each, each.changed) for each in self.crossings if each.sent and each.arrived]
        return [row for row in rows if row[1]]

    @cached_property
    def missing(self) -> list[Crossing]:
        return [each for each in self.crossings if each.arrived is None]

    @cached_property
    def strange(self) -> list[Crossing]:
        return [each for each in self.crossings if each.sent is None]


class ProbeClient(Agent):
    """Carries out one examination.

    ``rest``: seconds between the last probe and the first report. ``rounds``: how often what is missing is repeated.
    """

    def __init__(
        self,
        local: Endpoint,
        site: Site,
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
        self._queue = list(self._probes)
        self._rng = rng
        self._session = b"%016x" % rng.getrandbits(64)
        self._control = Endpoint(local.ip, 50000 + rng.randrange(5000) * 2)
        self._stage = Stage.ORDER
        self._tries = 0
        self._round = 0
        self._next: float | None = None
        self._current = b""
        self._came: dict[bytes, set[str]] = {}
        self._blank: set[str] = set()
        self._wires: dict[bytes, bytes] = {}
        self._answers: dict[str, Incoming] = {}
        self._named: dict[str, bytes] = {}
        self._sent: dict[tuple[Endpoint, int, bytes], list[float]] = {}
        self._heard: dict[tuple[Endpoint, Endpoint, bytes], list[float]] = {}
        self._rows: dict[int, list[Any]] = {}
        self._rows_of = -1
        self._asked_at = 0.0
        self._texts: dict[str, bytes] = {}
        self._wanted: list[str] = []
        self._twins_sent: dict[bytes, list[bytes]] = {}
        self._public: Endpoint | None = None
        self._unreachable = 0
        self._complete = False

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
        self._unreachable += 1
        return []

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if local == self._control:
            content = unpack(payload) if source.ip == self.site.ip else None
            if content is None or content.get("s") != self._session.decode():
                return []
            return self._on_control(content, now)
        times = self._heard.setdefault((local, source, payload), [])
        times.append(now)
        actions: list[Action] = []
        marks = marks_of(payload)
        mine = next((mark for mark in marks if mark in self._came), None)
        if mine is None and not marks:
            self._blank.add(kind_of(payload))
            mine = self._current
        if mine is None:
            return []  # somebody else's, or of another examination
        incoming = Incoming(SipMessage.parse(payload), source, local)
        if incoming.status:
            self._answers[self._name_of(mine)] = incoming
        elif incoming.method and incoming.method != b"ACK":
            actions.append(self._answer(incoming, now))
        self._came.setdefault(mine, set()).add(kind_of(payload))
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
            self._rows, self._rows_of, self._asked_at = {}, -1, now
        return self._converse(now)

    def _probe(self, now: float) -> list[Action]:
        """Send the current probe (again), or the next ones until one has something to bring."""
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
            self._came[self._current] = set()

    def _is_complete(self, mark: bytes) -> bool:
        return len(self._came.get(mark, ())) >= self._probes[mark].due

    def _name_of(self, mark: bytes) -> str:
        return self._probes[mark].name if mark in self._probes else ""

    def _send(self, mark: bytes, now: float) -> Action:
        probe = self._probes[mark]
        wire = self._wires.get(mark)
        if wire is None:
            wire = self._wires[mark] = probe.compose(mark, self._answers, self._named)
            self._named[probe.name] = wire
        remote = Endpoint(self.site.ip, self._port(probe))
        if self.site.proxy is not None and not probe.direct and not probe.port:
            remote = self.site.proxy
        return self._put(self._source(probe), remote, wire, now)

    def _port(self, probe: Probe) -> int:
        return self.site.other if probe.port == OTHER else probe.port or self.site.port

    def _source(self, probe: Probe) -> Endpoint:
        return Endpoint(self.local.ip, probe.source) if probe.source else self.local

    def _put(self, local: Endpoint, remote: Endpoint, wire: bytes, now: float) -> Action:
        self._sent.setdefault((local, remote.port, wire), []).append(now)
        return Send(local, remote, wire)

    def _answer(self, request: Incoming, now: float) -> Action:
        """200 to whatever the witness asks, by the ordinary rules: Via and Contact as they arrived."""
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
        """Ask (again) what the stage is about."""
        if self._tries >= _CONTROL_TRIES:  # what is known only in part is no basis for a judgement
            self._complete = False
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
                if start not in self._rows
            ]
        if self._stage is Stage.REPORT:
            known = 0
            while known in self._rows:
                known += 1
            return [{"t": "report", "n": self._round, "from": known}]
        return [{"t": "fetch", "id": each} for each in self._wanted[:8]]

    def _ask(self, content: dict[str, Any]) -> Action:
        content["s"] = self._session.decode()
        return Send(self._control, Endpoint(self.site.ip, self.site.control), pack(content))

    def _on_control(self, content: dict[str, Any], now: float) -> list[Action]:
        kind = content.get("t")
        if kind == "ok" and self._stage is Stage.ORDER:
            self._rows[content["n"]] = []
            self._public = Endpoint(*content["you"])
            return [] if self._questions() else self._enter(Stage.PROBES, now)
        if kind == "rows" and self._stage is Stage.REPORT and content.get("n") == self._round:
            for number, row in enumerate(content["rows"]):
                self._rows[content["from"] + number] = row
            self._rows_of = content["of"]
            if len(self._rows) < self._rows_of:
                self._tries = 0
                return self._converse(now)
            return self._reported(now)
        if kind == "record" and self._stage is Stage.FETCH:
            text = content["data"].encode("latin-1")
            if content["id"] in self._wanted and digest(text) == content["id"]:
                self._wanted.remove(content["id"])
                self._texts[content["id"]] = text
                if not self._wanted:
                    return self._assessed(now)
                self._tries = 1
                if len(self._wanted) % 8 == 0:
                    return self._converse(now)
        return []

    def _reported(self, now: float) -> list[Action]:
        for _, _, wire in self._sent:
            self._texts.setdefault(digest(wire), wire)
        for _, _, payload in self._heard:
            self._texts.setdefault(digest(payload), payload)
        self._wanted = list(dict.fromkeys(row[4] for row in self._rows.values() if row[4] not in self._texts))
        return self._enter(Stage.FETCH, now) if self._wanted else self._assessed(now)

    # -- again -----------------------------------------------------------------------------------------

    def _assessed(self, now: float) -> list[Action]:
        """The report is complete: repeat what is missing, or end."""
        self._complete = True
        self._missing = self._lacking()
        rounds = min(_ROUNDS_BESIDE_CHANGES, self._rounds) if self._is_changed() else self._rounds
        if not self._missing or self._round >= rounds:
            return self._enter(Stage.DONE, now)
        self._round += 1
        return self._enter(Stage.AGAIN, now)

    def _lacking(self) -> list[bytes]:
        """Marks of probes of which something did not arrive, either way."""
        found: dict[bytes, None] = {}
        seen = self._outset()
        for crossing in self._crossings():
            if crossing.arrived is None:
                mark = seen.owner(crossing)
                if mark:
                    found[mark] = None
        return list(found)[:_MOST_MISSING]

    def _is_changed(self) -> bool:
        return any(each.sent and each.arrived and each.changed for each in self._crossings())

    def _again(self, now: float) -> list[Action]:
        self._next = now + min(T1 * 2 ** (self._round - 1), T2)
        actions: list[Action] = []
        orders: dict[str, list[str]] = {}
        for mark in self._missing:
            twin = new_mark(self._rng)
            self._twins_sent.setdefault(mark, []).append(twin)
            orders[twin.decode()] = list(self._probes[mark].orders)
            self._came[twin] = set()
            actions.append(self._send(mark, now))
        # The orders about the twins go first; where they are lost the twins are heard all the same.
        order = self._ask({"t": "order", "n": -self._round, "do": orders})
        for mark in self._missing:
            twin = self._twins_sent[mark][-1]
            wire = self._wires[mark].replace(mark, twin)
            probe = self._probes[mark]
            remote = Endpoint(self.site.ip, self.site.other)
            actions.append(self._put(self._source(probe), remote, wire, now))
        return [order, *actions]

    # -- what was found ------------------------------------------------------------------------------------

    def _crossings(self) -> list[Crossing]:
        main = {self._port(probe) for probe in self._probes.values()}
        sent = [
            Letter(local, port, wire, len(times), times[0], times[-1], None, self._plain(wire, False))
            for (local, port, wire), times in self._sent.items()
        ]
        ours = {self.site.ip} | ({self.site.proxy.ip} if self.site.proxy else set())
        heard = [
            Letter(
                local, source.port, payload, len(times), times[0], times[-1], source, self._plain(payload, True)
            )
            for (local, source, payload), times in self._heard.items()
        ]
        theirs = [
            each._replace(plain=self._plain(each.payload, bool(row[0])))
            for row, each in ((row, self._letter(row)) for row in self._rows.values())
        ]
        outbound = compare(
            (each for each in sent if each.port in main),
            (each for row, each in zip(self._rows.values(), theirs, strict=True) if row[0] and each.port in main),
            outbound=True,
        )
        inbound = compare(
            (each for row, each in zip(self._rows.values(), theirs, strict=True) if not row[0] and each.port in main),
            (each for each in heard if each.port in main or each.far is None or each.far.ip not in ours),
            outbound=False,
        )
        # What came after the witness was asked may have been said after it answered.
        found = outbound + [
            each for each in inbound if each.sent or each.arrived is None or each.arrived.first < self._asked_at
        ]
        return found if self.site.proxy is None else [each for each in found if not is_proxys_own(each)]

    def _plain(self, payload: bytes, arrived: bool) -> bytes:
        """What is compared of a datagram: all of it, but for what a proxy that we use may do."""
        proxy = self.site.proxy
        return b"" if proxy is None else without_proxy(payload, proxy, arrived=arrived)

    def _letter(self, row: list[Any]) -> Letter:
        _, port, ip, peer, name, count, first, last = row
        return Letter(Endpoint(ip, peer), port, self._texts.get(name, b""), count, first, last)

    def _outset(self) -> Observations:
        """What is known without the witness."""
        seen = Observations(self.local, self.site, self._complete, public=self._public)
        seen.unreachable = self._unreachable
        seen.probes = dict(self._probes)
        seen.unmarked = {wire: mark for mark, wire in self._wires.items() if not marks_of(wire)}
        return seen

    def observe(self) -> Observations:
        """What happened, once it is ``done``."""
        seen = self._outset()
        if not self._complete:
            return seen
        seen.crossings = self._crossings()
        letters = [(row[0], self._letter(row)) for row in self._rows.values()]
        heard = {mark for is_heard, letter in letters if is_heard for mark in marks_of(letter.payload)}
        for mark, twins in self._twins_sent.items():
            if marks_of(self._wires[mark]):
                rows = [(twin in heard, frozenset(self._came[twin])) for twin in twins]
            else:  # they can only be counted
                wire, other = self._wires[mark], self.site.other
                count = sum(
                    each.count for ours, each in letters if ours and each.port == other and each.payload == wire
                )
                back = sum(
                    len(times) for (_, source, data), times in self._heard.items()
                    if source.port == other and not marks_of(data)
                )  # fmt: skip
                kinds = frozenset(self._blank)
                rows = [
                    (number < count, kinds if number < back else frozenset()) for number in range(len(twins))
                ]
            seen.twins[mark] = rows
        ports = {(port, mark): local.port for local, port, wire in self._sent for mark in marks_of(wire)[:1]}
        for is_heard, letter in letters:
            near = ports.get((letter.port, next(iter(marks_of(letter.payload)), b"")))
            if is_heard and near is not None and (self.site.proxy is None or letter.near.ip != self.site.proxy.ip):
                seen.mappings.setdefault((near, letter.port), []).append(letter)
        return seen
