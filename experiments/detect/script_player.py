"""Plays an open-loop script through whatever is between this computer and a detection server: sans-IO.

It sends the inside packets from ports of its own, and has the server send the outside packets
(``script_desk``). After each packet it asks the server what arrived. So it knows what left the router for a
packet before it sends the next one, and clocks need not agree.

The rules of this file:

- Steps keep the script's order. Between two of them, at least the time in the script passes.
- A question is repeated until it is answered. The answer does not depend on how often it was asked.
- If nothing arrived, it waits a little longer, and asks once more.
- The server's answers must be valid numbers and bytes, or they are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from siplab.lab.gateway.sides import Side
from siplab.lab.probing.probe_book import told_endpoint
from siplab.lab.probing.probe_wire import pack, unpack
from siplab.lab.probing.script_desk import BUSY, STEP
from siplab.lab.sip.base import Action, Agent, Close, Listen, Send
from siplab.lab.sip.timers import Timer, Timers
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.open_loop import Conversation, PublicPorts, Script, Step
from siplab.lab.worlds.pair import Crossing, Departure, Pair

GAP: Final = 0.02  # seconds from a packet to the question about it
_LATE: Final = 0.1  # further seconds if nothing arrived
_ALIVE: Final = 20.0  # seconds of silence after which the server is told that the script goes on
_AGAIN: Final = 0.5  # seconds until a question is repeated the first time
_SLOWEST: Final = 2.0
_MOST_QUESTIONS: Final = 8
_MOST_ARRIVALS: Final = 10_000


class ScriptPlayer(Agent):
    """Plays ``script`` from ``own`` (its port is for the control channel) with the server at ``control``.

    ``name``: of this run, for the server. ``limit``: seconds; conversations that would not end in time are
    left out. ``over``: it is done, or can't go on (``problem``). ``skipped``: conversations left out.
    """

    def __init__(self, script: Script, own: Endpoint, control: Endpoint, name: str, limit: float) -> None:
        super().__init__()
        self.over = False
        self.problem = ""
        self.public = ""
        self.skipped: list[str] = []
        self._script, self._own, self._control, self._name, self._limit = script, own, control, name, limit
        self._timers = Timers()
        self._outbox: list[Action] = []
        self._open: set[Endpoint] = set()
        self._last_users: dict[Endpoint, Conversation] = {}
        self._steps: list[tuple[float, Conversation, Step]] = []
        self._began: float | None = None  # when the first step was sent
        self._place = 0  # of the next step
        self._lag = 0.0  # seconds that the script is late
        self._left_out: set[int] = set()
        self._crossings: list[Crossing] = []
        self._current: Crossing | None = None
        self._left: list[Departure] = []
        self._waited = False  # whether it has waited for late packets
        self._number = self._seen = self._arrived = 0
        self._question: dict[str, Any] = {}
        self._asked = 0
        self._retry: Timer | None = None
        self._then: Callable[[float], None] = self._begin

    @property
    def pair(self) -> Pair:
        """What crossed the router so far."""
        return Pair(tuple(self._crossings), self.public, whole=False)

    def stop(self) -> None:
        """No time is left: conversations that have not ended are left out."""
        unfinished = {each.name for _, each, _ in self._steps[self._place :]} - set(self.skipped)
        if self._current is not None:
            unfinished.add(self._current.conversation)
        self._current = None
        self._crossings = [each for each in self._crossings if each.conversation not in unfinished]
        self.skipped += sorted(unfinished)
        self.over = True

    def start(self, now: float) -> list[Action]:
        self._outbox.append(Listen(self._own))
        self._ask(now, self._begin)
        return self._flush()

    def next_timer(self) -> float | None:
        return None if self.over else self._timers.next()

    def on_timer(self, now: float) -> list[Action]:
        self._timers.run(now)
        return self._flush()

    def receive(self, payload: bytes, source: Endpoint, local: Endpoint, now: float) -> list[Action]:
        if local == self._own:
            if source == self._control and not self.over:
                self._hear(unpack(payload), now)
        elif self._may_keep(1):
            self._left.append(Departure(Side.INSIDE, ip.udp(source, local, payload)))
        return self._flush()

    def _flush(self) -> list[Action]:
        actions, self._outbox = self._outbox, []
        return actions

    def _may_keep(self, count: int) -> bool:
        self._arrived += count
        return self._arrived <= _MOST_ARRIVALS

    # -- questions ---------------------------------------------------------------------------------------

    def _ask(self, now: float, then: Callable[[float], None], send: list[Any] | None = None) -> None:
        """Ask what arrived, first have ``send`` sent if it is given, and go on with ``then``."""
        self._number += 1
        self._question = {"s": self._name, "t": STEP, "n": self._number, "seen": self._seen}
        if send is not None:
            self._question["send"] = send
        self._asked, self._then = 0, then
        self._say(None, now)

    def _say(self, _: object, now: float) -> None:
        if self._asked == _MOST_QUESTIONS:
            self._end("the server does not answer any more" if self.public else "the server plays no scripts")
            return
        self._outbox.append(Send(self._own, self._control, pack(self._question)))
        self._retry = self._timers.start(now + min(_SLOWEST, _AGAIN * 2**self._asked), self._say)
        self._asked += 1

    def _hear(self, answer: Mapping[str, Any] | None, now: float) -> None:
        if answer is None or (answer.get("s"), answer.get("n")) != (self._name, self._number):
            return
        if self._retry is None or not self._retry.running:
            return
        if answer.get("t") == BUSY:
            self._end("another script from this address is under way, or was until a minute ago")
            return
        try:
            you = told_endpoint(*answer["you"])
            first = int(answer["from"])
            rows = [_arrival(row, self._control.ip) for row in answer["rows"]]
        except (AttributeError, KeyError, TypeError, ValueError):
            return
        self._retry.cancel()
        self.public = self.public or you.ip
        new = rows[max(0, self._seen - first) :]
        if new and self._may_keep(len(new)):
            self._left += new
        self._seen = max(self._seen, first + len(rows))
        self._then(now)

    def _end(self, problem: str) -> None:
        self._finish()
        self.over, self.problem = True, problem

    # -- steps ---------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        self._left.clear()
        self._script = self._script.moved({self._script.public: self.public})
        self._ports = PublicPorts(self.public)
        self._steps = self._script.steps()
        for _, conversation, _ in self._steps:
            self._last_users |= dict.fromkeys(_endpoints(conversation), conversation)
        self._lag = now
        self._next(None, now)

    def _next(self, _: object, now: float) -> None:
        """Wait for the next step, or perform it."""
        while self._place < len(self._steps) and id(self._steps[self._place][1]) in self._left_out:
            self._place += 1
        if self._place == len(self._steps):
            self._end("")
            return
        at, conversation, step = self._steps[self._place]
        due = at + self._lag
        if now < due:
            if due - now > _ALIVE:
                self._timers.start(now + _ALIVE, self._still_there)
            else:
                self._timers.start(due, self._next)
            return
        self._lag += now - due
        if step is conversation.steps[0] and now + conversation.ends - at > self._limit:
            self._left_out.add(id(conversation))
            self.skipped.append(conversation.name)
            self._next(None, now)
            return
        self._finish()
        self._place += 1
        self._do(conversation, step, now)

    def _still_there(self, _: object, now: float) -> None:
        self._ask(now, lambda then: self._next(None, then))

    def _do(self, conversation: Conversation, step: Step, now: float) -> None:
        for local in _endpoints(conversation) - self._open:
            self._open.add(local)
            self._outbox.append(Listen(local))
        data = self._ports.addressed(step.packet, conversation)
        packet = ip.parse(data)
        if self._began is None:
            self._began = now
        self._current = Crossing(now - self._began, conversation.name, step.side, data)
        self._waited = False
        if step.side is Side.INSIDE:
            self._outbox.append(Send(packet.source, packet.destination, packet.payload))
            self._timers.start(now + GAP, self._look)
        else:
            what = [packet.sport, packet.dport, packet.payload.decode("latin-1")]
            self._ask(now, lambda then: self._wait(GAP, then), what)

    def _wait(self, seconds: float, now: float) -> None:
        self._timers.start(now + seconds, self._look)

    def _look(self, _: object, now: float) -> None:
        self._ask(now, self._looked)

    def _looked(self, now: float) -> None:
        if not self._left and not self._waited:
            self._waited = True
            self._wait(_LATE, now)
        else:
            self._next(None, now)

    def _finish(self) -> None:
        """All that left for the current packet has arrived."""
        if self._current is None:
            return
        done = self._current._replace(left=tuple(self._left))
        self._left = []
        self._current = None
        if done.side is Side.INSIDE:
            self._ports.learn(done.packet, done.left)
        self._crossings.append(done)
        self._close_unused()

    def _close_unused(self) -> None:
        """Close the ports that no later step needs."""
        last = self._steps[self._place - 1][1]
        if any(conversation is last for _, conversation, _ in self._steps[self._place :]):
            return
        for local in [each for each in self._open if self._last_users[each] is last]:
            self._open.discard(local)
            self._outbox.append(Close(local))


def _endpoints(conversation: Conversation) -> set[Endpoint]:
    """The endpoints of this computer in a conversation."""
    sources = {ip.parse(each.packet).source for each in conversation.steps if each.side is Side.INSIDE}
    return sources | set(conversation.ports.values())


def _arrival(row: Any, server: str) -> Departure:
    """A datagram that arrived at the server. Raises ``ValueError`` or ``TypeError`` if it is not valid."""
    port, address, peer, text = row
    local = told_endpoint(server, port)
    return Departure(Side.OUTSIDE, ip.udp(told_endpoint(address, peer), local, text.encode("latin-1")))
