"""The four transaction machines: RFC 3261 section 17, with RFC 6026's Accepted state.

The rules of this file:

- A machine is a table: state -> (timers that run in it, trigger -> (next state, step)).
- A trigger that a state's row lacks is absorbed. A step runs after its state was entered.
- Which message belongs to which transaction is ``siplab.lab.sip.transactions``' business.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, NamedTuple, Protocol

from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.messages import Incoming, Names, Request, response, token
from siplab.lab.sip.timers import Timer, Timers
from siplab.lab.wire.ip import Endpoint

T1: Final = 0.5  # seconds: round-trip time estimate (RFC 3261 section 17.1.1.1)
T2: Final = 4.0  # seconds: longest retransmit interval of non-INVITE requests and INVITE responses
T4: Final = 5.0  # seconds: longest time that a message stays in the network
TIMEOUT: Final = 64 * T1
TIMER_D: Final = 32.0


class State(StrEnum):
    """States of RFC 3261 figures 5 to 8, and RFC 6026's Accepted."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    ACCEPTED = "accepted"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class On(StrEnum):
    """What moves a transaction: a timer by its letter, a message by its kind, the transport."""

    A = "timer A"
    B = "timer B"
    D = "timer D"
    E = "timer E"
    F = "timer F"
    G = "timer G"
    H = "timer H"
    I = "timer I"  # noqa: E741  # the RFC's letter
    J = "timer J"
    K = "timer K"
    L = "timer L"
    M = "timer M"
    CANCELLED = "no final response 64*T1 after CANCEL"
    PROVISIONAL = "1xx"
    SUCCESS = "2xx"
    FAILURE = "300-699"
    REQUEST = "request, retransmitted"
    ACK = "ACK"
    TRANSPORT_ERROR = "transport error"


# When one of these timers ends, the transaction is only forgotten: their exits have no step.
_FORGETTING: Final = frozenset({On.D, On.I, On.J, On.K, On.L, On.M})

Step = Callable[[Any, "Incoming | None", float], None]


class Row(NamedTuple):
    """One state: its timers in seconds, which start on entry and stop on leaving, and its exits.

    A timer that the next state has too goes on running.
    """

    timers: dict[On, float]
    exits: dict[On, tuple[State, Step | None]]


Table = dict[State, Row]
Tables = dict[SipTransport, Table]
Key = tuple[bytes | int | None, ...]

Answered = Callable[["ClientTransaction", int, "Incoming | None", float], None]
"""``answered(transaction, status, response, now)``: every response but retransmissions of finals.

Without a response the status is 408 for a timeout and 503 for a transport error, as
RFC 3261 section 8.1.3.1 has a user agent treat them.
"""


class AckUser(Protocol):
    """The owner of INVITE server transactions, who learns how they end."""

    def on_ack(self, ack: Incoming, transaction: ServerTransaction | None, now: float) -> None:
        """An ACK that belongs to a 2xx, or to nothing known (``transaction`` is ``None``)."""

    def on_unacknowledged(self, transaction: ServerTransaction, now: float) -> None:
        """Timer H: nobody acknowledged the non-2xx final response to an INVITE."""


class Layer(Protocol):
    """What a transaction uses of the layer that it belongs to."""

    rng: random.Random
    names: Names
    timers: Timers

    @property
    def user(self) -> AckUser: ...

    def forget(self, transaction: Transaction) -> None: ...

    def carry(
        self, transport: SipTransport, local: Endpoint, remote: Endpoint, wire: bytes, now: float
    ) -> None: ...

    def request(
        self, request: Request, local: Endpoint, remote: Endpoint, now: float, answered: Answered
    ) -> ClientTransaction: ...


class Transaction:
    """What client and server transactions share."""

    __slots__ = (
        "_interval",
        "_row",
        "_table",
        "_timers",
        "key",
        "layer",
        "local",
        "remote",
        "state",
        "transport",
    )

    def __init__(
        self,
        layer: Layer,
        key: Key,
        tables: Tables,
        transport: SipTransport,
        local: Endpoint,
        remote: Endpoint | None,
    ) -> None:
        self.layer = layer
        self.key = key
        self.transport = transport
        self.local = local
        self.remote = remote
        self._table = tables[transport]
        self._timers: dict[On, Timer] = {}
        self._interval = T1

    def enter(self, state: State, now: float) -> None:
        """Enter a state: stop the timers that it lacks, start those that it has."""
        self.state = state
        self._row = row = self._table[state]
        timers = self._timers
        if timers:
            for on in [each for each in timers if each not in row.timers]:
                timers.pop(on).cancel()
        for on, delay in row.timers.items():
            if on not in timers:
                self.start_timer(on, delay, now)
        if state is State.TERMINATED:
            self.layer.forget(self)

    def start_timer(self, on: On, delay: float, now: float) -> None:
        self._timers[on] = self.layer.timers.start(now + delay, self._on_timer, on, silent=on in _FORGETTING)

    def _on_timer(self, on: On, now: float) -> None:
        del self._timers[on]
        self.fire(on, None, now)

    def fire(self, on: On, message: Incoming | None, now: float) -> None:
        """Handle one trigger as the table says."""
        way = self._row.exits.get(on)
        if way is None:
            return
        state, step = way
        if state is not self.state:
            self.enter(state, now)
        if step is not None:
            step(self, message, now)

    def transmit(self, wire: bytes, now: float) -> None:
        if self.remote is not None:
            self.layer.carry(self.transport, self.local, self.remote, wire, now)

    def back_off(self, on: On, limit: float, now: float) -> None:
        """Restart a retransmission timer with twice its interval, at most ``limit``."""
        self._interval = min(2 * self._interval, limit)
        self.start_timer(on, self._interval, now)


class ClientTransaction(Transaction):
    """A request on its way to one next hop."""

    __slots__ = ("_ack", "_answered", "cancelled", "request")

    def __init__(
        self,
        layer: Layer,
        key: Key,
        request: Request,
        local: Endpoint,
        remote: Endpoint,
        answered: Answered,
    ) -> None:
        tables = CLIENT_INVITE if request.method == b"INVITE" else CLIENT_NON_INVITE
        super().__init__(layer, key, tables, request.transport, local, remote)
        self.request = request
        self.cancelled = False
        self._answered = answered
        self._ack = b""

    def cancel(self, now: float) -> None:
        """CANCEL an INVITE, as soon as a provisional response allows it (RFC 3261 section 9.1)."""
        if self.state in (State.CALLING, State.PROCEEDING):
            self.cancelled = True
            if self.state is State.PROCEEDING:
                self._send_cancel(now)

    def _send_cancel(self, now: float) -> None:
        if On.CANCELLED not in self._timers and self.remote is not None:
            self.start_timer(On.CANCELLED, TIMEOUT, now)
            self.layer.request(self.request.cancel(), self.local, self.remote, now, _ignore)

    # -- steps of the tables --------------------------------------------------------------

    def tell(self, message: Incoming | None, now: float) -> None:
        assert message is not None
        self._answered(self, message.status, message, now)

    def tell_provisional(self, message: Incoming | None, now: float) -> None:
        if self.cancelled:
            self._send_cancel(now)
        self.tell(message, now)

    def tell_slower(self, message: Incoming | None, now: float) -> None:
        """Non-INVITE in Proceeding: the next interval of timer E is T2 (section 17.1.2.2)."""
        self._interval = T2
        self.tell(message, now)

    def acknowledge_and_tell(self, message: Incoming | None, now: float) -> None:
        assert message is not None
        self._ack = self.request.ack(message.value(b"to"))
        self.transmit(self._ack, now)
        self.tell(message, now)

    def acknowledge(self, message: Incoming | None, now: float) -> None:
        self.transmit(self._ack, now)

    def timed_out(self, message: Incoming | None, now: float) -> None:
        self._answered(self, 408, None, now)

    def failed(self, message: Incoming | None, now: float) -> None:
        self._answered(self, 503, None, now)

    def resend_a(self, message: Incoming | None, now: float) -> None:
        self.transmit(self.request.wire, now)
        self.back_off(On.A, TIMEOUT, now)

    def resend_e(self, message: Incoming | None, now: float) -> None:
        self.transmit(self.request.wire, now)
        self.back_off(On.E, T2, now)


def _ignore(transaction: ClientTransaction, status: int, message: Incoming | None, now: float) -> None:
    """The response to a CANCEL changes nothing; that to the INVITE does (RFC 3261 section 9.1)."""


class ServerTransaction(Transaction):
    """A received request and the response to it."""

    __slots__ = ("_last", "request", "status", "to_tag", "user_data")

    def __init__(self, layer: Layer, key: Key, request: Incoming) -> None:
        tables = SERVER_INVITE if request.method == b"INVITE" else SERVER_NON_INVITE
        super().__init__(layer, key, tables, request.transport, request.local, request.reply_to)
        self.request = request
        self.status = 0
        self.to_tag = b""
        self.user_data: Any = None
        """For the transaction user: what this request belongs to."""
        self._last = b""

    @property
    def answered(self) -> bool:
        """Whether a final response was given."""
        return self.status >= 200

    def reply(
        self,
        status: int,
        now: float,
        *,
        reason: bytes = b"",
        headers: bytes = b"",
        body: bytes = b"",
    ) -> bytes:
        """Respond, with one To tag for all responses but 100 (section 8.2.6.2); returns the bytes.

        A second final response is not sent.
        """
        if status > 100 and not self.to_tag:
            self.to_tag = self.request.to_tag or token(self.layer.rng)
        tag = self.to_tag if status > 100 else b""
        wire = response(
            self.request,
            status,
            reason=reason,
            to_tag=tag,
            headers=headers,
            body=body,
            names=self.layer.names,
        )
        self.send(status, wire, now)
        return wire

    def send(self, status: int, wire: bytes, now: float) -> None:
        """Send a response that is ready, e.g. one that a proxy forwards; a 2xx may be repeated."""
        if self.answered and not (self.state is State.ACCEPTED and 200 <= status < 300):
            return
        self.status = status
        self._last = wire
        self.fire(kind_of(status), None, now)

    # -- steps of the tables --------------------------------------------------------------

    def resend(self, message: Incoming | None, now: float) -> None:
        if self._last:
            self.transmit(self._last, now)

    def resend_g(self, message: Incoming | None, now: float) -> None:
        self.transmit(self._last, now)
        self.back_off(On.G, T2, now)

    def pass_ack(self, message: Incoming | None, now: float) -> None:
        assert message is not None
        self.layer.user.on_ack(message, self, now)

    def unacknowledged(self, message: Incoming | None, now: float) -> None:
        self.layer.user.on_unacknowledged(self, now)


def kind_of(status: int) -> On:
    return On.PROVISIONAL if status < 200 else On.SUCCESS if status < 300 else On.FAILURE


_END: Final = Row({}, {})

_C = ClientTransaction
_INVITE_ANSWERED: Final[dict[On, tuple[State, Step | None]]] = {
    On.PROVISIONAL: (State.PROCEEDING, _C.tell_provisional),
    On.SUCCESS: (State.ACCEPTED, _C.tell),
    On.FAILURE: (State.COMPLETED, _C.acknowledge_and_tell),
}
_CLIENT_INVITE_UDP: Final[Table] = {
    State.CALLING: Row(
        {On.A: T1, On.B: TIMEOUT},
        {
            On.A: (State.CALLING, _C.resend_a),
            On.B: (State.TERMINATED, _C.timed_out),
            On.TRANSPORT_ERROR: (State.TERMINATED, _C.failed),
            **_INVITE_ANSWERED,
        },
    ),
    State.PROCEEDING: Row({}, {On.CANCELLED: (State.TERMINATED, _C.timed_out), **_INVITE_ANSWERED}),
    State.COMPLETED: Row(
        {On.D: TIMER_D},
        {On.D: (State.TERMINATED, None), On.FAILURE: (State.COMPLETED, _C.acknowledge)},
    ),
    State.ACCEPTED: Row(
        {On.M: TIMEOUT},
        {On.M: (State.TERMINATED, None), On.SUCCESS: (State.ACCEPTED, _C.tell)},
    ),
    State.TERMINATED: _END,
}

_NON_INVITE_ENDED: Final[dict[On, tuple[State, Step | None]]] = {
    On.F: (State.TERMINATED, _C.timed_out),
    On.TRANSPORT_ERROR: (State.TERMINATED, _C.failed),
    On.PROVISIONAL: (State.PROCEEDING, _C.tell_slower),
    On.SUCCESS: (State.COMPLETED, _C.tell),
    On.FAILURE: (State.COMPLETED, _C.tell),
}
_CLIENT_NON_INVITE_UDP: Final[Table] = {
    State.TRYING: Row({On.E: T1, On.F: TIMEOUT}, {On.E: (State.TRYING, _C.resend_e), **_NON_INVITE_ENDED}),
    State.PROCEEDING: Row(
        {On.E: T2, On.F: TIMEOUT}, {On.E: (State.PROCEEDING, _C.resend_e), **_NON_INVITE_ENDED}
    ),
    State.COMPLETED: Row({On.K: T4}, {On.K: (State.TERMINATED, None)}),
    State.TERMINATED: _END,
}

_S = ServerTransaction
_SERVER_INVITE_UDP: Final[Table] = {
    State.PROCEEDING: Row(
        {},
        {
            On.REQUEST: (State.PROCEEDING, _S.resend),
            On.PROVISIONAL: (State.PROCEEDING, _S.resend),
            On.SUCCESS: (State.ACCEPTED, _S.resend),
            On.FAILURE: (State.COMPLETED, _S.resend),
        },
    ),
    State.COMPLETED: Row(
        {On.G: T1, On.H: TIMEOUT},
        {
            On.REQUEST: (State.COMPLETED, _S.resend),
            On.ACK: (State.CONFIRMED, None),
            On.G: (State.COMPLETED, _S.resend_g),
            On.H: (State.TERMINATED, _S.unacknowledged),
        },
    ),
    State.CONFIRMED: Row({On.I: T4}, {On.I: (State.TERMINATED, None)}),
    # RFC 6026 section 7.1: retransmitted INVITEs are absorbed, the UAS core repeats the 2xx.
    State.ACCEPTED: Row(
        {On.L: TIMEOUT},
        {
            On.SUCCESS: (State.ACCEPTED, _S.resend),
            On.ACK: (State.ACCEPTED, _S.pass_ack),
            On.L: (State.TERMINATED, None),
        },
    ),
    State.TERMINATED: _END,
}

_ANSWER: Final[dict[On, tuple[State, Step | None]]] = {
    On.PROVISIONAL: (State.PROCEEDING, _S.resend),
    On.SUCCESS: (State.COMPLETED, _S.resend),
    On.FAILURE: (State.COMPLETED, _S.resend),
}
_SERVER_NON_INVITE_UDP: Final[Table] = {
    State.TRYING: Row({}, _ANSWER),
    State.PROCEEDING: Row({}, {On.REQUEST: (State.PROCEEDING, _S.resend), **_ANSWER}),
    State.COMPLETED: Row(
        {On.J: TIMEOUT},
        {On.REQUEST: (State.COMPLETED, _S.resend), On.J: (State.TERMINATED, None)},
    ),
    State.TERMINATED: _END,
}

# RFC 3261 section 17: over a reliable transport nothing is retransmitted, nor are retransmissions waited for.
_UNRELIABLE: Final = frozenset({On.A, On.E, On.G})
_ABSORBING: Final = frozenset({On.D, On.I, On.J, On.K})


def _reliable(table: Table) -> Table:
    return {
        state: Row(
            {
                on: 0.0 if on in _ABSORBING else delay
                for on, delay in row.timers.items()
                if on not in _UNRELIABLE
            },
            row.exits,
        )
        for state, row in table.items()
    }


def _tables(table: Table) -> Tables:
    reliable = _reliable(table)
    return {"udp": table, "tcp": reliable, "tls": reliable}


CLIENT_INVITE: Final = _tables(_CLIENT_INVITE_UDP)
CLIENT_NON_INVITE: Final = _tables(_CLIENT_NON_INVITE_UDP)
SERVER_INVITE: Final = _tables(_SERVER_INVITE_UDP)
SERVER_NON_INVITE: Final = _tables(_SERVER_NON_INVITE_UDP)
