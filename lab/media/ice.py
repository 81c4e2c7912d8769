"""ICE for one stream with one component (RFC 8445): both sides try all pairs, and use one that works.

The rules of this file:

- A full agent checks one pair for each of the other side's candidates, best first, one every 50 ms. A check
  that arrives triggers one of the same pair. A lite agent only answers (section 2.7).
- The caller is the controlling side; if one side is lite, the full one is (section 6.1.1). There are no role
  conflicts. A restart needs new credentials.
- 0.2 s after the first pair works, the controlling side nominates the best working pair. Until then media
  use the best one so far (section 12.1.1).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from siplab.lab.media import ice_messages, stun
from siplab.lab.media.ice_candidates import Candidate, IceOffer, candidate_line, priority
from siplab.lab.media.ice_messages import Check
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transactions import TransactionLayer
from siplab.lab.wire.ip import Endpoint

Ice = Literal["", "full", "lite"]

PACE: Final = 0.05  # seconds between two checks: Ta (RFC 8445 section 14.2)
RTO: Final = 0.5  # seconds until the first retransmission; the interval then doubles
_TRIES: Final = 7  # of one check: Rc (RFC 8489 section 6.2.1)
_LAST_WAIT: Final = 16  # times the RTO: the wait after the last try: Rm
_CHECKS: Final = 10  # of one pair, however often the other side asks for one more
NOMINATION_DELAY: Final = 0.2  # seconds
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

State = Literal["waiting", "in-progress", "succeeded", "failed"]


@dataclass(eq=False)
class Pair:
    """Our only base, paired with one endpoint of the other side."""

    remote: Endpoint
    rank: int
    state: State = "waiting"
    nominated: bool = False
    transaction: bytes = b""
    tries: int = 0
    checks: int = 0
    timer: Timer | None = None


class IceStream:
    """One stream's checks. ``path`` is where media go, ``None`` as long as no pair is known to work.

    ``selected``: the remote endpoint of the nominated pair. ``failed``: no pair works. ``changed(now)`` is
    called when ``path`` changes. ``mapped`` gives what a STUN server saw of the local endpoint.
    """

    def __init__(
        self,
        layer: TransactionLayer,
        rng: random.Random,
        local: Endpoint,
        *,
        lite: bool,
        mapped: Callable[[Endpoint], Endpoint],
        changed: Callable[[float], None],
    ) -> None:
        self._layer = layer
        self._rng = rng
        self.local = local
        self.lite = lite
        self._mapped = mapped
        self._changed = changed
        self.ufrag = self._letters(4)
        self.password = self._letters(22)
        self._tie_breaker = rng.getrandbits(64)
        self._controlling = False
        self._theirs: IceOffer | None = None
        self._pairs: dict[Endpoint, Pair] = {}
        self._early: dict[Endpoint, Check] = {}  # checks that came before the other side's description
        self._asked: list[Pair] = []  # triggered checks, in order of arrival
        self._pacer: Timer | None = None
        self._nomination: Timer | None = None
        self.path: Endpoint | None = None
        self.selected: Endpoint | None = None
        self.failed = False

    @property
    def candidates(self) -> list[Candidate]:
        """Our candidates: the host's endpoint, and the one that a STUN server saw, if it is another."""
        found = [Candidate(b"1", priority("host"), self.local, "host")]
        public = self._mapped(self.local)
        if public != self.local and not self.lite:
            found.append(Candidate(b"2", priority("srflx"), public, "srflx", self.local))
        return found

    def lines(self) -> bytes:
        """Our description's lines for ICE."""
        said = b"a=ice-ufrag:%b\r\na=ice-pwd:%b\r\n" % (self.ufrag, self.password)
        return said + b"".join(map(candidate_line, self.candidates))

    # -- start and end ---------------------------------------------------------------------------

    def start(self, theirs: IceOffer, *, controlling: bool, now: float) -> None:
        """Take the other side's description; one with the same credentials as before changes nothing."""
        known = self._theirs
        if known is not None and (known.ufrag, known.password) == (theirs.ufrag, theirs.password):
            return
        self.stop()
        self._theirs = theirs
        self._controlling = (controlling or theirs.lite) and not self.lite
        self.path = self.selected = None
        self.failed = False
        if self.lite:
            self._answer_early(now)
            return
        for each in sorted(theirs.candidates, key=lambda each: -each.priority):
            if each.endpoint not in self._pairs and (":" in each.endpoint.ip) == (":" in self.local.ip):
                self._add(each.endpoint, each.priority)
        self._answer_early(now)
        self._tick(None, now)

    def stop(self) -> None:
        """Stop all checks."""
        for timer in (self._pacer, self._nomination, *(pair.timer for pair in self._pairs.values())):
            if timer is not None:
                timer.cancel()
        self._pacer = self._nomination = None
        self._pairs.clear()
        self._asked.clear()

    def _answer_early(self, now: float) -> None:
        early, self._early = self._early, {}
        for source, said in early.items():
            self._on_check(said, source, now)

    # -- what arrives ----------------------------------------------------------------------------

    def receive(self, payload: bytes, source: Endpoint, now: float) -> None:
        """A STUN message arrived on the media port."""
        if payload[0] == 1:
            self._on_answer(payload, source, now)
            return
        said = ice_messages.read_check(payload, self.password)
        if said is None or said.username.partition(b":")[0] != self.ufrag:
            facts = Facts(local=self.local, remote=source)
            self._layer.user.note(now, EventKind.ICE_REFUSED, f"wrong credentials, from {source}", facts)
            return
        self._layer.send(self.local, source, ice_messages.answer(payload, source, self.password))
        if self._theirs is None:
            self._early[source] = said
        else:
            self._on_check(said, source, now)

    def _on_check(self, said: Check, source: Endpoint, now: float) -> None:
        if self.lite:
            if said.use:
                self._select(source, now)
            return
        # Section 7.3.1.3: a source that is no candidate is a new, peer reflexive one.
        pair = self._pairs.get(source) or self._add(source, said.priority)
        pair.nominated = pair.nominated or (said.use and not self._controlling)
        if pair.state == "succeeded":
            if pair.nominated:
                self._select(source, now)
        elif pair not in self._asked and pair.checks < _CHECKS:
            self._asked.append(pair)
            if self._pacer is None or not self._pacer.running:
                self._tick(None, now)

    def _on_answer(self, payload: bytes, source: Endpoint, now: float) -> None:
        transaction = payload[8:20]
        pair = next((each for each in self._pairs.values() if each.transaction == transaction), None)
        theirs = self._theirs
        if pair is None or theirs is None or not ice_messages.is_genuine(payload, theirs.password):
            return
        if pair.timer is not None:
            pair.timer.cancel()
        if source != pair.remote or stun.mapped(payload, transaction) is None:
            self._end(pair, now)  # section 7.2.5.2.1: not symmetric
            return
        pair.state = "succeeded"
        if pair.nominated:
            self._select(pair.remote, now)
        elif self.selected is None:
            self._take(self._best().remote, now)
            if self._controlling and self._nomination is None:
                self._nomination = self._layer.timers.start(now + NOMINATION_DELAY, self._nominate)

    # -- checks ----------------------------------------------------------------------------------

    def _tick(self, argument: object, now: float) -> None:
        """Send the next check: a triggered one, or that of the best waiting pair."""
        self._asked = [each for each in self._asked if each.state != "succeeded"]
        pair = self._asked.pop(0) if self._asked else None
        if pair is None:
            waiting = [each for each in self._pairs.values() if each.state == "waiting"]
            pair = max(waiting, key=lambda each: each.rank, default=None)
        if pair is None:
            return
        self._check(pair, now)
        self._pacer = self._layer.timers.start(now + PACE, self._tick)

    def _check(self, pair: Pair, now: float) -> None:
        if pair.timer is not None:
            pair.timer.cancel()
        if pair.state != "succeeded":
            pair.state = "in-progress"
        pair.transaction = self._rng.getrandbits(96).to_bytes(12, "big")
        pair.checks, pair.tries = pair.checks + 1, 0
        self._try(pair, now)

    def _try(self, pair: Pair, now: float) -> None:
        theirs = self._theirs
        if theirs is None:
            return
        if pair.tries == _TRIES:
            self._end(pair, now)
            return
        said = Check(
            theirs.ufrag + b":" + self.ufrag, priority("prflx"), use=pair.nominated and self._controlling
        )
        message = ice_messages.check(
            pair.transaction,
            theirs.password,
            said,
            controlling=self._controlling,
            tie_breaker=self._tie_breaker,
        )
        self._layer.send(self.local, pair.remote, message)
        pair.tries += 1
        wait = RTO * (_LAST_WAIT if pair.tries == _TRIES else 2 ** (pair.tries - 1))
        pair.timer = self._layer.timers.start(now + wait, self._try, pair)

    def _end(self, pair: Pair, now: float) -> None:
        pair.state, pair.nominated = "failed", False
        if self.path is None and all(each.state == "failed" for each in self._pairs.values()):
            self.failed = True
            self._layer.user.note(now, EventKind.ICE_FAILED, "no candidate can be reached (RFC 8445 8.1.2)")

    def _nominate(self, argument: object, now: float) -> None:
        pair = self._best()
        pair.nominated = True
        self._check(pair, now)

    # -- what comes of it ------------------------------------------------------------------------

    def _select(self, remote: Endpoint, now: float) -> None:
        if self.selected != remote:
            self.selected = remote
            facts = Facts(local=self.local, remote=remote)
            self._layer.user.note(now, EventKind.ICE_SELECTED, f"{self.local} with {remote}", facts)
        for pair in self._pairs.values():  # section 8.1.1: the others need no checks any more
            if pair.remote != remote and pair.state != "succeeded":
                pair.state = "failed"
                if pair.timer is not None:
                    pair.timer.cancel()
        self._take(remote, now)

    def _take(self, remote: Endpoint, now: float) -> None:
        if self.path != remote:
            self.path = remote
            self._changed(now)

    def _best(self) -> Pair:
        working = [each for each in self._pairs.values() if each.state == "succeeded"]
        return max(working, key=lambda each: each.rank)

    def _add(self, remote: Endpoint, their_priority: int) -> Pair:
        ours = priority("host")
        given, taken = (ours, their_priority) if self._controlling else (their_priority, ours)
        # Section 6.1.2.3.
        rank = (min(given, taken) << 32) + 2 * max(given, taken) + (given > taken)
        pair = self._pairs[remote] = Pair(remote, rank)
        return pair

    def _letters(self, count: int) -> bytes:
        return "".join(self._rng.choice(_LETTERS) for _ in range(count)).encode()
