"""Changing the session of a call that is up: re-INVITE (RFC 3261 section 14) and UPDATE (RFC 3311).

The rules of this file:

- One change at a time. A change that crosses ours is answered 491. After a 491 to ours, we pause and try
  again; the length of the pause depends on who chose the Call-ID (section 14.1).
- After the pause we make a new offer, from the session as it is then.
- A change that is refused leaves the session as it was. 408 and 481 end the call (section 12.2.1.2).
- Every change refreshes the remote target from the other side's Contact (section 12.2.2).
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from siplab.lab.media.session import MediaError, Session
from siplab.lab.phone.phone_config import Method
from siplab.lab.phone.session_timer import SessionTimer
from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.dialog import Dialog, contact_uri
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import SDP_TYPE, Incoming, Request
from siplab.lab.sip.repeater import Repeater
from siplab.lab.sip.transaction_fsm import ClientTransaction, ServerTransaction
from siplab.lab.wire.ip import Endpoint

Outcome = Callable[[int, float], None]
"""``outcome(status, now)``: called with the result of a change that this side asked for; 0: not sent."""


class ChangedCall(Protocol):
    """The parts of a call that a renegotiation uses."""

    session: Session
    timer: SessionTimer
    credentials: Credentials
    dialog: Dialog | None
    established_at: float | None

    @property
    def phone(self) -> UserAgent: ...
    @property
    def over(self) -> bool: ...
    @property
    def owns_call_id(self) -> bool: ...

    def build(
        self,
        dialog: Dialog,
        method: bytes,
        cseq: int,
        authorization: bytes | None = None,
        headers: bytes = b"",
        body: bytes = b"",
    ) -> tuple[Request, Endpoint | None]: ...

    def acknowledge(self, dialog: Dialog, response: Incoming, now: float) -> bool: ...

    def bye(self, now: float, *, reason: str) -> None: ...

    def media_changed(self, now: float) -> None: ...


@dataclass(frozen=True, slots=True)
class _Change:
    """A change that this side asks for, see ``Renegotiation.start``."""

    method: bytes
    edit: Callable[[], None]
    outcome: Outcome | None
    headers: bytes
    body: bytes | None


class Renegotiation:
    """The changes of one call.

    ``status``: the final status of our latest change, 0 while it is open. ``done``: how many changes took
    effect, whoever asked for them.
    """

    def __init__(self, call: ChangedCall) -> None:
        self._call = call
        self.status = 0
        self.done = 0
        self._ours: bool = False
        self._theirs: ServerTransaction | None = None
        self._repeater: Repeater | None = None
        self._owes_answer = False  # our 200 had an offer, so the ACK has the answer

    # -- our changes ---------------------------------------------------------------------------

    def start(
        self,
        now: float,
        method: Method = "INVITE",
        change: Callable[[], None] = lambda: None,
        outcome: Outcome | None = None,
        headers: bytes = b"",
        body: bytes | None = None,
    ) -> None:
        """Ask for a change: ``change`` edits the session, whose offer is then sent.

        ``headers``: additional lines. ``body``: sent instead of an offer (``b""``: no body).
        """
        call = self._call
        if call.dialog is None or call.over or self._ours or self._theirs is not None:
            why = f"{method}: another change is under way, or there is no call"
            call.phone.note(now, EventKind.NOT_SENT, why, Facts(method=method))
            if outcome is not None:
                outcome(0, now)
            return
        self.status = 0
        self._begin(_Change(method.encode(), change, outcome, headers, body), now)

    def _begin(self, change: _Change, now: float) -> None:
        session = self._call.session
        before = copy.copy(session)
        change.edit()
        offer = session.offer() if change.body is None else change.body
        self._send(change, offer, before, now)

    def _send(self, change: _Change, offer: bytes, before: Session, now: float) -> None:
        call, method = self._call, change.method
        dialog, phone = call.dialog, call.phone
        if dialog is None or call.over:
            self._not_sent(change, before, now)
            return
        self._ours = True
        dialog.local_cseq += 1
        lines = phone.contact_line + phone.supported_line + call.timer.request_lines() + change.headers
        if offer:
            lines += phone.names.content_type + SDP_TYPE + b"\r\n"
        request, remote = call.build(dialog, method, dialog.local_cseq, headers=lines, body=offer)
        if remote is None:
            phone.note(now, EventKind.UNROUTABLE, method.decode(), Facts(method=method.decode()))
            self._not_sent(change, before, now)
            return

        def answered(
            transaction: ClientTransaction, status: int, response: Incoming | None, later: float
        ) -> None:
            if status < 200:
                return
            if response is not None and 200 <= status < 300 and method == b"INVITE":
                again = call.acknowledge(dialog, response, later)
                if again:
                    return
            if not self._ours:
                return
            if response is not None and status in (401, 407) and call.credentials.accept(response):
                self._send(change, offer, before, later)
                return
            if status == 491 and not call.over:
                self._ours = False  # the other side may make its change in the pause
                self._restore(before)
                self._after_pause(change, later)
                return
            self._finish(status, response, change, offer, before, later)

        phone.layer.request(request, phone.origin, remote, now, answered)

    def _not_sent(self, change: _Change, before: Session, now: float) -> None:
        self._ours = False
        self._restore(before)
        if change.outcome is not None:
            change.outcome(0, now)

    def _after_pause(self, change: _Change, now: float) -> None:
        call = self._call

        def due(argument: object, then: float) -> None:
            if not call.over and (self._ours or self._theirs is not None):
                self._after_pause(change, then)
            else:
                self._begin(change, then)

        low, high = (2.1, 4.0) if call.owns_call_id else (0.0, 2.0)
        call.phone.layer.timers.start(now + round(call.phone.rng.uniform(low, high), 2), due)

    def _finish(
        self,
        status: int,
        response: Incoming | None,
        change: _Change,
        offer: bytes,
        before: Session,
        now: float,
    ) -> None:
        call = self._call
        self._ours = False
        self.status = status
        if response is not None and 200 <= status < 300:
            if call.dialog is not None:
                call.dialog.remote_target = contact_uri(response) or call.dialog.remote_target
            if offer:
                try:
                    call.session.conclude(response.body)
                except MediaError as error:
                    call.phone.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
                    call.bye(now, reason=f"media: {error}")
            if not call.over:
                self.done += 1
            call.timer.answered(response)
            call.timer.start(now)
            call.media_changed(now)
        else:
            self._restore(before)
            call.phone.note(now, EventKind.NOT_CHANGED, f"{status}", Facts(status=status))
            if status in (408, 481) and not call.over:
                call.bye(now, reason=f"{status} to a request within the call")
        if change.outcome is not None:
            change.outcome(status, now)

    def _restore(self, before: Session) -> None:
        self._call.session.go_back_to(before)

    # -- their changes -------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        """A re-INVITE or UPDATE arrived."""
        call, request = self._call, transaction.request
        phone = call.phone
        if self._ours:
            phone.reject(transaction, 491, now)
            return
        # Section 14.2: only one INVITE at a time, including the one that began the call.
        unanswered = call.established_at is None and request.method == b"INVITE"
        if self._theirs is not None or unanswered:
            phone.reject(transaction, 500, now, b"Retry-After: 3\r\n")
            return
        body = request.body
        try:
            if body:
                answer = call.session.answer(body)
            elif request.method == b"INVITE":
                answer = call.session.offer()
            else:
                answer = b""
        except MediaError as error:
            phone.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
            phone.reject(transaction, 488, now)
            return
        dialog = call.dialog
        assert dialog is not None
        dialog.remote_target = contact_uri(request) or dialog.remote_target
        lines = phone.contact_line + call.timer.answer_lines(request)
        lines += phone.invite_lines if answer else phone.allow_line + phone.agent_line
        wire = transaction.reply(200, now, headers=lines, body=answer)
        self.done += 1
        call.timer.start(now)
        if request.method == b"INVITE":
            self._theirs = transaction
            self._owes_answer = not body
            patience = phone.config.lost_ack
            gave_up = self._never_acknowledged
            self._repeater = Repeater(phone.layer.timers, transaction, wire, now, gave_up, patience)
        if body:
            call.media_changed(now)

    def on_ack(self, ack: Incoming, now: float) -> bool:
        """An ACK within the dialog; returns whether it belongs to a re-INVITE."""
        call = self._call
        if self._theirs is None or ack.cseq != self._theirs.request.cseq:
            return False
        self.stop()
        if self._owes_answer:
            try:
                call.session.conclude(ack.body)
            except MediaError as error:
                call.phone.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
                call.bye(now, reason=f"media: {error}")
                return True
            call.media_changed(now)
        return True

    def stop(self) -> None:
        """Stop repeating our answer."""
        if self._repeater is not None:
            self._repeater.stop()
        self._theirs = None

    def _never_acknowledged(self, now: float) -> None:
        self._theirs = None
        why = "the 200 to a re-INVITE was never acknowledged (RFC 3261 14.2)"
        self._call.phone.note(now, EventKind.NO_ACK, why, Facts(200, "INVITE", reference="RFC 3261 14.2"))
        self._call.bye(now, reason="no ACK")
