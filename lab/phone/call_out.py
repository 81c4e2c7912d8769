"""The caller's side of a call: RFC 3261 section 13.2, CANCEL of section 9.1.

The rules of this file:

- Each INVITE (the first, and the one that answers a challenge) is a transaction of its own. The earlier one
  has had its final response, and nothing more comes of it.
- Every 2xx is acknowledged end to end along the route set, a repeated one again. A 2xx from another branch of
  a fork is acknowledged, and its call is hung up (section 13.2.2.4).
"""

from __future__ import annotations

from typing import Final

from siplab.lab.media.session import MediaError
from siplab.lab.phone.call import Call, CallState, Direction
from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip import provisional
from siplab.lab.sip.dialog import Dialog
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import REASONS, SDP_TYPE, Incoming, token
from siplab.lab.sip.transaction_fsm import ClientTransaction

_LOCK_PAUSE: Final = 0.2  # seconds; pjsua was seen to wait as long


class OutgoingCall(Call):
    """A call that this phone places. ``target``: the URI that is called; ``headers``: additional lines."""

    def __init__(self, phone: UserAgent, line: int, target: bytes, now: float, headers: bytes = b"") -> None:
        super().__init__(phone, line, Direction.OUTGOING, CallState.CALLING, phone.new_call_id(), now)
        self.target = target
        self._headers = headers
        self._from_tag = token(phone.rng)
        self._cseq = 0
        self._offer = b"" if phone.config.late_offer else self.session.offer()
        self._invite: ClientTransaction | None = None
        self._cancelled = False
        self._early: dict[bytes, Dialog] = {}  # by To tag
        self._rseq: dict[bytes, int] = {}

    def invite(self, now: float) -> None:
        """Send the INVITE, with credentials if there was a challenge."""
        if self.over:
            return
        phone = self.phone
        self._cseq += 1
        self.authorization = self.credentials.lines(b"INVITE", self.target)
        request = phone.compose(
            b"INVITE",
            self.target,
            from_=b"<" + phone.aor + b">;tag=" + self._from_tag,
            from_tag=self._from_tag,
            to=b"<" + self.target + b">",
            call_id=self.call_id,
            cseq=self._cseq,
            headers=phone.contact_line
            + self.authorization
            + self.timer.request_lines()
            + (phone.invite_lines if self._offer else phone.allow_line + phone.agent_line)
            + self._headers
            + phone.padding,
            body=self._offer,
        )
        remote = phone.config.server
        self._invite = phone.layer.request(request, phone.origin, remote, now, self._answered)

    def hang_up(self, now: float) -> None:
        if self.state is CallState.ESTABLISHED:
            self.bye(now, reason="hung up")
        elif self._invite is None:
            self.finish(CallState.ENDED, now, by="local", reason="cancelled before it was sent")
        elif not self.over:
            self._cancelled = True
            self._invite.cancel(now)

    def _answered(
        self, transaction: ClientTransaction, status: int, response: Incoming | None, now: float
    ) -> None:
        if status < 200:
            if status > 100 and self.state is CallState.CALLING:
                self.state = CallState.RINGING
                self.ringing_at = now
                self.phone.note(now, EventKind.RINGING, str(status), Facts(status=status))
            if response is not None and status > 100:
                self._provisional(response, now)
        elif status < 300 and response is not None:
            self._succeeded(response, now)
        elif self._cancelled:
            self.finish(CallState.ENDED, now, by="local", status=status, reason="cancelled")
        elif response is not None and status in (401, 407) and self.credentials.accept(response):
            self.invite(now)
        else:
            reason = "no final response" if response is None else _phrase(response)
            self.finish(CallState.FAILED, now, status=status, reason=reason)

    def _provisional(self, response: Incoming, now: float) -> None:
        """A 1xx: acknowledge a reliable one (RFC 3262 section 4), and use its SDP answer for early media."""
        number, tag = provisional.sequence(response), response.to_tag
        if number is not None:
            last = self._rseq.get(tag)
            if last is not None and number != last + 1:
                return  # a repetition, or one out of order
            self._rseq[tag] = number
            dialog = self._early.setdefault(tag, self._dialog_of(response))
            self.request(dialog, b"PRACK", now, b"RAck: %d %d INVITE\r\n" % (number, response.cseq))
        is_sdp = response.value(b"content-type").partition(b";")[0].strip().lower() == SDP_TYPE
        if self._offer and response.body and is_sdp and not self._cancelled:
            try:
                self.session.conclude(response.body)
            except MediaError as error:
                self.phone.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
                return
            self.media_changed(now)

    def _succeeded(self, response: Incoming, now: float) -> None:
        dialog = self._dialog(response)
        answer = b""
        if not self._offer and self.dialog is None and not self.over:
            # A late offer: it is in the 200, and our answer is in the ACK (section 13.2.1).
            try:
                answer = self.session.answer(response.body)
            except MediaError as error:
                self.phone.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
        if self.acknowledge(dialog, response, now, answer):
            return
        if self.dialog is not None or self.over:
            self.request(dialog, b"BYE", now)
            return
        self.timer.answered(response)
        self.establish(dialog, now)
        self.status = response.status
        self.confirmed = bool(self._acks)
        if self._cancelled:
            self.bye(now, reason="cancelled, but answered already")
            return
        if self._offer:
            try:
                self.session.conclude(response.body)
            except MediaError as error:
                self.phone.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
                self.bye(now, reason=f"media: {error}", state=CallState.FAILED)
                return
        elif not answer:
            self.bye(now, reason="no usable offer in the 200", state=CallState.FAILED)
            return
        self.media_changed(now)
        if self.phone.config.codec_lock and self.session.answered_codecs > 1:
            self.phone.layer.timers.start(now + _LOCK_PAUSE, self._lock_codec)

    def _lock_codec(self, argument: object, now: float) -> None:
        """Offer only the first codec, since the answer had several."""

        def change() -> None:
            self.session.codecs = self.session.codecs[:1]

        self.renegotiation.start(now, change=change)

    def _dialog(self, response: Incoming) -> Dialog:
        """The dialog of a 2xx, with the CSeq number that its early dialog has reached."""
        dialog = self._dialog_of(response)
        # Without a Contact a phone, like pjsip, continues to send to the URI that it called.
        dialog.remote_target = dialog.remote_target or self.target
        early = self._early.get(response.to_tag)
        if early is not None:
            dialog.local_cseq = max(dialog.local_cseq, early.local_cseq)
        return dialog

    def _dialog_of(self, response: Incoming) -> Dialog:
        """The dialog of a response. Its Call-ID and our tag are the INVITE's, whatever the response has."""
        dialog = Dialog.of_caller(response)
        dialog.call_id = self.call_id
        if dialog.local_tag != self._from_tag:
            dialog.local_tag, dialog.local = self._from_tag, b"<%b>;tag=%b" % (self.phone.aor, self._from_tag)
        return dialog

    def on_ack(self, ack: Incoming, now: float) -> None:
        self.renegotiation.on_ack(ack, now)


def _phrase(response: Incoming) -> str:
    """The reason phrase as received, for people."""
    words = response.message.start_line.split(b" ", 2)
    phrase = words[2].strip() if len(words) > 2 else REASONS.get(response.status, b"")
    return phrase.decode("utf-8", "backslashreplace")
