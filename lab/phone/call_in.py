"""The called side of a call: RFC 3261 section 13.3.

The rules of this file:

- The phone rings (180), then answers by itself (200).
- The 200 is repeated until its ACK arrives, first after T1; the wait doubles up to T2. If no ACK has arrived
  after 64*T1, the session is over (section 13.3.1.4): the call drops after 32 seconds.
- This side sends no BYE before the ACK (section 15).
"""

from __future__ import annotations

from siplab.lab.media.session import MediaError
from siplab.lab.phone.call import Call, CallState, Direction
from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip import provisional
from siplab.lab.sip.dialog import Dialog
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import SDP_TYPE, Incoming, line_of, name_addr_of, uri_of
from siplab.lab.sip.provisional import Reliable
from siplab.lab.sip.repeater import Repeater
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ServerTransaction


class IncomingCall(Call):
    """A call to this phone. If the INVITE has no offer, the 200 has ours and the ACK has the answer."""

    def __init__(self, phone: UserAgent, line: int, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        super().__init__(phone, line, Direction.INCOMING, CallState.RINGING, request.call_id, now)
        self.transaction = transaction
        self._offer = request.body
        self._hang_up_on_ack = False
        self._repeater: Repeater | None = None
        self._ring: Timer | None = None
        self._answer_due = False  # the answer waits for a PRACK
        self._reliable: Reliable | None = None
        self.replaces: Call | None = None  # the call that this one replaces when answered
        self._body = b""  # our session description, once there is one
        # The route set of the dialog is copied into all responses that create it (section 12.1.1).
        self._routes = b"".join([line_of(field) for field in request.message.all(b"record-route")])

    @property
    def caller(self) -> str:
        """The caller for the display: the user that the provider asserts (RFC 3325), else that of From."""
        request = self.transaction.request
        value = request.value(b"p-asserted-identity") or request.value(b"from")
        uri = uri_of(name_addr_of(value).uri)
        return uri.user.decode("utf-8", "backslashreplace") if uri is not None else ""

    def ring(self, now: float) -> None:
        """Send 180, or 183 with early media. Answer ``ring_time`` seconds later, if the phone is set to."""
        phone = self.phone
        self.transaction.user_data = self
        self.ringing_at = now
        headers = self._routes + phone.contact_line
        if phone.config.early_media and self._offer:
            self._begin_early_media(headers, now)
        else:
            self.transaction.reply(180, now, headers=headers + phone.agent_line)
        if phone.config.ring_time is not None:
            self._ring = phone.layer.timers.start(now + phone.config.ring_time, self._answer)
        caller = self.transaction.request.value(b"from").decode("utf-8", "backslashreplace")
        phone.note(now, EventKind.RINGING, f"called by {caller}")

    def answer(self, now: float) -> None:
        """Answer now."""
        if self._ring is not None:
            self._ring.cancel()
        self._answer(None, now)

    def _begin_early_media(self, headers: bytes, now: float) -> None:
        """183 with our answer (RFC 3960), acknowledged by PRACK if both sides support it (RFC 3262)."""
        phone, transaction = self.phone, self.transaction
        self._body = self.session.answer(self._offer)
        headers += phone.names.content_type + SDP_TYPE + b"\r\n"
        if "100rel" in phone.config.extensions and provisional.is_offered(transaction.request):
            timers = phone.layer.timers
            self._reliable = Reliable(timers, transaction, phone.rng.randint(1, 2**31 - 1), self._no_prack)
            headers += self._reliable.lines
        wire = transaction.reply(183, now, headers=headers + phone.agent_line, body=self._body)
        if self._reliable is not None:
            self._reliable.sent(183, wire, now)
            self.dialog = Dialog.of_callee(transaction.request, transaction.to_tag, 0)
        self.media_changed(now)

    def on_prack(self, transaction: ServerTransaction, now: float) -> None:
        if self._reliable is None or not self._reliable.on_prack(transaction.request):
            self.phone.reject(transaction, 481, now)
            return
        transaction.reply(200, now, headers=self.phone.agent_line)
        self.phone.note(now, EventKind.PRACK, f"RSeq {self._reliable.number} acknowledged")
        if self._answer_due:
            self._answer(None, now)

    def _no_prack(self, now: float) -> None:
        self._refuse(500, now)
        reason = "the 183 was never acknowledged (RFC 3262 3)"
        self.finish(CallState.FAILED, now, by="local", status=500, reason=reason)

    def _answer(self, argument: object, now: float) -> None:
        # RFC 3262 section 3: while a reliable 183 with an answer waits for its PRACK, no 2xx is sent.
        self._answer_due = self._reliable is not None and not self._reliable.acknowledged
        if self._answer_due:
            return
        phone, request = self.phone, self.transaction.request
        if not self._body:
            self._body = self.session.answer(self._offer) if self._offer else self.session.offer()
            settled = bool(self._offer)
        else:
            settled = False  # by the 183
        lines = self._routes + phone.contact_line + self.timer.answer_lines(request)
        wire = self.transaction.reply(200, now, headers=lines + phone.invite_lines, body=self._body)
        self.establish(self.dialog or Dialog.of_callee(request, self.transaction.to_tag, 0), now)
        self._repeater = Repeater(
            phone.layer.timers, self.transaction, wire, now, self._give_up, phone.config.lost_ack
        )
        if settled:
            self.media_changed(now)
        if self.replaces is not None and not self.replaces.over:
            self.replaces.bye(now, reason="replaced by another call")

    def _give_up(self, now: float) -> None:
        if self.over:
            return
        why = "the 200 was never acknowledged (RFC 3261 13.3.1.4)"
        self.phone.note(now, EventKind.NO_ACK, why, Facts(200, "INVITE", reference="RFC 3261 13.3.1.4"))
        self.bye(now, reason="no ACK")

    def on_ack(self, ack: Incoming, now: float) -> None:
        if self.renegotiation.on_ack(ack, now):
            return
        if ack.cseq != self.transaction.request.cseq or self.confirmed:
            return
        self._stop()
        self.confirmed = True
        self.phone.note(now, EventKind.CONFIRMED, "ACK received")
        if self._hang_up_on_ack:
            self.bye(now, reason="hung up")
        elif not self._offer:
            self._late_answer(ack, now)

    def _late_answer(self, ack: Incoming, now: float) -> None:
        """The answer to our offer in the 200 (section 13.3.1, RFC 3264)."""
        try:
            self.session.conclude(ack.body)
        except MediaError as error:
            self.phone.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
            self.bye(now, reason=f"media: {error}", state=CallState.FAILED)
            return
        self.media_changed(now)

    def on_bye(self, transaction: ServerTransaction, now: float) -> None:
        self._stop()
        if self.state is CallState.RINGING:
            self._refuse(487, now)
        super().on_bye(transaction, now)

    def on_cancel(self, now: float) -> None:
        """The caller gives up (section 9.2). This has no effect once the call is answered."""
        if not self.transaction.answered:
            self._refuse(487, now)
            self.finish(CallState.ENDED, now, by="remote", status=487, reason="cancelled by the caller")

    def hang_up(self, now: float) -> None:
        if self.state is CallState.RINGING:
            self._refuse(603, now)
            self.finish(CallState.ENDED, now, by="local", status=603, reason="declined")
        elif self.state is CallState.ESTABLISHED:
            if self.confirmed:
                self.bye(now, reason="hung up")
            else:
                self._hang_up_on_ack = True

    def _refuse(self, status: int, now: float) -> None:
        if self._ring is not None:
            self._ring.cancel()
        if self._reliable is not None:
            self._reliable.stop()
        self.transaction.reply(status, now, headers=self.phone.agent_line)

    def _stop(self) -> None:
        """Stop repeating the 200."""
        if self._repeater is not None:
            self._repeater.stop()
