"""The response context of one request that a proxy forwards: RFC 3261 sections 16.6 to 16.8.

It has the server transaction, and a branch for each target. The best of the branches' answers goes back.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from siplab.lab.server.core import ServerCore
from siplab.lab.server.notifier import Notifier
from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.dialog import contact_uri
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, Request, uri_of
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ClientTransaction, ServerTransaction
from siplab.lab.sip.transactions import TransactionLayer
from siplab.lab.wire.ip import Endpoint

# Section 16.7, step 6: the 4xx responses that help the caller to try again.
_PREFERRED: Final = (401, 407, 415, 420, 484)


class Target(NamedTuple):
    """Where one copy of a request goes: Request-URI, next hop, the endpoint that sends it, transport.

    ``natted``: the target is a phone whose REGISTER showed a NAT.
    """

    uri: bytes
    remote: Endpoint
    local: Endpoint
    transport: SipTransport
    natted: bool = False


class Forwards(Protocol):
    """What a context needs of its proxy: how messages are changed on their way, and who is to be notified."""

    server: ServerCore
    layer: TransactionLayer
    notifier: Notifier

    def copy(
        self, request: Incoming, target: Target, routes: list[bytes], now: float, *, natted: bool = False
    ) -> Request: ...

    def strip(
        self, response: Incoming, now: float, *, request: Incoming, from_nat: bool, natted: bool
    ) -> bytes: ...

    def end_call(self, call_id: bytes, now: float) -> None: ...

    def release(self, call_id: bytes) -> None: ...


class Forwarding:
    """The response context of one request: its branches and their answers."""

    __slots__ = (
        "_best",
        "_branches",
        "_from_nat",
        "_key",
        "_natted",
        "_proxy",
        "_routes",
        "_timer_c",
        "transaction",
    )

    def __init__(self, proxy: Forwards, transaction: ServerTransaction, routes: list[bytes]) -> None:
        self._proxy = proxy
        self.transaction = transaction
        transaction.user_data = self
        self._routes = routes
        self._key = transaction.request.call_id  # identifies the call
        # branch -> final status, 0 while it is open
        self._branches: dict[ClientTransaction, int] = {}
        self._from_nat: set[ClientTransaction] = set()  # those to phones behind NAT
        self._natted = False
        self._best: tuple[int, Incoming | None] | None = None
        self._timer_c: Timer | None = None

    def forward(self, targets: list[Target], now: float) -> None:
        """Send one copy to each target, all at once (parallel forking)."""
        transaction, proxy = self.transaction, self._proxy
        request = transaction.request
        if request.method == b"INVITE" and not request.to_tag:
            user = uri_of(request.uri)
            called = user.user.decode("utf-8", "replace") if user is not None else ""
            proxy.notifier.set_call(self._key, called, "trying", now)
        elif request.method == b"BYE":
            proxy.end_call(self._key, now)
        if request.method == b"INVITE":
            transaction.reply(100, now)
            self._start_timer_c(now)
        method = request.method.decode("ascii", "replace")
        if request.method == b"INVITE" and not request.to_tag:
            seen = proxy.server.is_natted(request, contact_uri(request))
            self._natted = seen or any(target.natted for target in targets)
        for target in targets:
            copy = self._copy(target, now)
            branch = proxy.layer.request(copy, target.local, target.remote, now, self._answered)
            self._branches[branch] = 0
            if target.natted:
                self._from_nat.add(branch)
            facts = Facts(method=method, remote=target.remote)
            proxy.server.note(now, EventKind.FORWARDED, f"{method} to {target.remote}", facts)

    def _copy(self, target: Target, now: float) -> Request:
        return self._proxy.copy(self.transaction.request, target, self._routes, now, natted=self._natted)

    def cancel(self, now: float) -> None:
        """CANCEL every branch that is still open (section 16.10)."""
        for branch, status in self._branches.items():
            if not status:
                branch.cancel(now)

    def _answered(
        self, branch: ClientTransaction, status: int, response: Incoming | None, now: float
    ) -> None:
        """Section 16.7: forward provisionals and 2xx at once; of the others the best, once all are in."""
        if status < 200:
            if status > 100 and response is not None:
                self._start_timer_c(now)
                self._pass_on(status, response, now, branch)
            return
        first = not self._branches.get(branch)
        self._branches[branch] = status
        if 200 <= status < 300 and response is not None:
            self._pass_on(status, response, now, branch)
            self._stop_timer_c()
            if first:
                self.cancel(now)
            return
        if not first or self.transaction.answered:
            return
        if self._best is None or _rank(status) < _rank(self._best[0]):
            self._best = (status, response)
        if status >= 600:
            self.cancel(now)
        if all(self._branches.values()):
            self._stop_timer_c()
            self._give_best(*self._best, now)

    def _give_best(self, status: int, response: Incoming | None, now: float) -> None:
        request = self.transaction.request
        if request.method == b"INVITE" and not request.to_tag:
            self._proxy.release(self._key)
        if response is None or status == 503:
            # A 503 of one next hop says nothing of this server (section 16.7, step 6).
            what = "timed out" if status == 408 else "can't be reached"
            server = self._proxy.server
            server.reject(self.transaction, 408 if status == 408 else 500, now, f"the next hop {what}")
        else:
            self._pass_on(status, response, now)

    def _pass_on(
        self, status: int, response: Incoming, now: float, branch: ClientTransaction | None = None
    ) -> None:
        if len(response.values(b"via")) < 2:
            why = f"{status}: no Via is left to send it on by"
            self._proxy.server.note(now, EventKind.DISCARDED, why, Facts(status, part="Via"))
            return
        passed = self._proxy.strip(
            response,
            now,
            request=self.transaction.request,
            from_nat=branch in self._from_nat,
            natted=self._natted,
        )
        self.transaction.send(status, passed, now)
        self._tell_watchers(status, now)

    def _tell_watchers(self, status: int, now: float) -> None:
        """Tell those who watch the called user's phone how far the call is."""
        request, notifier = self.transaction.request, self._proxy.notifier
        known = notifier.calls.get(self._key)
        if request.method == b"INVITE" and not request.to_tag and known is not None:
            state = "early" if status < 200 else "confirmed" if status < 300 else "terminated"
            notifier.set_call(self._key, known[0], state, now)

    def _start_timer_c(self, now: float) -> None:
        if self.transaction.request.method == b"INVITE":
            self._stop_timer_c()
            due = now + self._proxy.server.config.timer_c
            self._timer_c = self._proxy.layer.timers.start(due, self._timer_c_fired)

    def _stop_timer_c(self) -> None:
        if self._timer_c is not None:
            self._timer_c.cancel()

    def _timer_c_fired(self, argument: object, now: float) -> None:
        """Section 16.8: a phone must not ring for ever."""
        self._proxy.server.note(now, EventKind.TIMER_C, "no final response: cancelling")
        self.cancel(now)


def _rank(status: int) -> tuple[int, int, int]:
    """Order of preference among final responses (section 16.7, step 6): lowest is best."""
    return (0 if status >= 600 else 1, status // 100, 0 if status in _PREFERRED else 1)
