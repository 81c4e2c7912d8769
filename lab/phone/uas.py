"""A phone as a user agent server: how it handles requests (RFC 3261 sections 8.2, 12.2.2).

The rules of this file:

- A table of methods dispatches the requests; a new feature is a new entry there.
- A request is refused here if it belongs to no dialog, is out of order, or requires an extension that the
  phone does not offer. Requests that concern a call are passed to it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from siplab.lab.media.session import MediaError, read
from siplab.lab.phone import instant_message, transfer
from siplab.lab.phone.call import Call, CallState
from siplab.lab.phone.call_in import IncomingCall
from siplab.lab.phone.call_out import OutgoingCall
from siplab.lab.phone.phone_config import PhoneConfig
from siplab.lab.phone.subscription import Subscription
from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.dialog import DialogId, next_hop
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import KNOWN_METHODS, SDP_TYPE, Incoming, uri_of
from siplab.lab.sip.transactions import ServerTransaction


class UserAgentServer(UserAgent):
    """Answers requests. ``calls``, ``subscriptions`` and ``inbox``: see ``Phone``."""

    def __init__(self, config: PhoneConfig, rng: random.Random) -> None:
        super().__init__(config, rng, self._methods)
        self.calls: list[Call] = []
        self.subscriptions: list[Subscription] = []
        self.inbox: list[tuple[str, str]] = []

    def on_request(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        handler = self._methods.get(request.method)
        if handler is None:
            known = request.method in KNOWN_METHODS
            self.reject(transaction, 405 if known else 501, now, self.allow_line)
        elif not self._is_for_us(request.uri):
            self.reject(transaction, 404, now)
        elif (
            b"require" in request.heads and request.method != b"CANCEL" and (missing := self._lacks(request))
        ):
            # Section 8.2.2.3: only what we offer can be required.
            self.reject(transaction, 420, now, b"Unsupported: " + b", ".join(missing) + b"\r\n")
        else:
            handler(self, transaction, now)

    def _lacks(self, request: Incoming) -> list[bytes]:
        """What the request requires and we can't do. Require is ignored in a CANCEL (section 8.2.2.3)."""
        if b"require" not in request.heads or request.method == b"CANCEL":
            return []
        offered = {each.encode() for each in self.config.options}
        return [each for each in request.values(b"require") if each.lower() not in offered]

    def _is_for_us(self, uri: bytes) -> bool:
        check, found = self.config.request_uri_check, uri_of(uri)
        if found is None or (check != "none" and found.user not in (b"", self._user, self.contact_user)):
            return False
        return check != "host-port" or next_hop(uri) in (self.local, self.reachable)

    # -- calls -----------------------------------------------------------------------------------

    def place(self, uri: bytes, now: float, headers: bytes = b"") -> OutgoingCall | None:
        """Begin a call with additional header lines; ``None`` when no line is free."""
        line = self._free_line()
        if line is None:
            self.note(now, EventKind.NOT_SENT, "INVITE: no line is free", Facts(method="INVITE"))
            return None
        call = OutgoingCall(self, line, uri, now, headers)
        self.calls.append(call)
        self.discovery.when_settled(lambda then: self.relaying.when_settled(call.invite, then), now)
        return call

    def _free_line(self) -> int | None:
        """The first line without a call; ``None`` when all are taken."""
        taken = {call.line for call in self.calls if not call.over}
        return next((line for line in range(self.config.lines) if line not in taken), None)

    def _call_in(self, identity: DialogId) -> Call | None:
        """The call in a dialog."""
        by = slice(1 if self.config.dialog_match == "tags" else 0, None)
        for call in self.calls:
            if not call.over and call.dialog is not None and call.dialog.identity[by] == identity[by]:
                return call
        return None

    def _on_invite(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if request.to_tag:
            self._within(transaction, now)
            return
        if self._is_merged(request):
            self.reject(transaction, 482, now)
            return
        replacing = transfer.replaces(request) if transfer.OPTION in self.config.extensions else None
        replaced = self._call_in(replacing) if replacing is not None else None
        # RFC 3891 section 3: a call that rings here can't be replaced.
        if replacing is not None and (replaced is None or replaced.state is not CallState.ESTABLISHED):
            self.reject(transaction, 481, now)
            return
        line = self._free_line()
        if line is None:
            self.reject(transaction, 486, now)
            return
        body = request.body
        kind = request.value(b"content-type").partition(b";")[0].strip().lower()
        if body and kind != SDP_TYPE and (kind or self.config.on_syntax == "reject"):
            self.reject(transaction, 415, now, b"Accept: " + SDP_TYPE + b"\r\n")
            return
        try:
            if body:
                lenient = bool(self.config.lenient)
                read(body, self.config.streams, secure=self.config.srtp, lenient=lenient)
        except MediaError as error:
            self.note(now, EventKind.MEDIA_ERROR, str(error), Facts(part="SDP"))
            self.reject(transaction, 488, now)
            return
        call = IncomingCall(self, line, transaction, now)
        self.calls.append(call)
        call.replaces = replaced
        call.ring(now)
        if replaced is not None:
            call.answer(now)

    def _is_merged(self, request: Incoming) -> bool:
        """Whether this INVITE is being answered already, and came again another way (section 8.2.2.2)."""
        for call in self.calls:
            if isinstance(call, IncomingCall) and not call.over:
                known = call.transaction.request
                if (known.call_id, known.from_tag, known.cseq) == (
                    request.call_id,
                    request.from_tag,
                    request.cseq,
                ):
                    return True
        return False

    def _call_of(self, transaction: ServerTransaction, now: float) -> Call | None:
        """The call of a request within a dialog. If there is none, answers the request; returns ``None``."""
        request = transaction.request
        call = self._call_in(DialogId(request.call_id, request.to_tag, request.from_tag))
        if call is None or call.dialog is None:
            self.reject(transaction, 481, now)
            return None
        if request.cseq < call.dialog.remote_cseq:
            self.reject(transaction, 500, now)  # section 12.2.2: out of order
            return None
        call.dialog.remote_cseq = request.cseq
        return call

    def _within(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.renegotiation.on_request(transaction, now)

    def _on_prack(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.on_prack(transaction, now)

    def _on_bye(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.on_bye(transaction, now)

    def _on_refer(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            transfer.on_refer(call, transaction, now, self.place)

    def _on_notify(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        for each in self.subscriptions:
            same = each.call_id == request.call_id or self.config.dialog_match == "tags"
            if same and each.tag == request.to_tag:
                each.on_notify(transaction, now)
                return
        call = self._call_of(transaction, now)
        if call is not None:
            transfer.on_notify(call, transaction, now)

    def _on_info(self, transaction: ServerTransaction, now: float) -> None:
        call = self._call_of(transaction, now)
        if call is not None:
            call.on_info(transaction, now)

    def _on_message(self, transaction: ServerTransaction, now: float) -> None:
        self.inbox.append(instant_message.on_message(self, transaction, now))

    def _on_cancel(self, transaction: ServerTransaction, now: float) -> None:
        invite = self.layer.invite_of(transaction.request)
        if invite is None:
            self.reject(transaction, 481, now)
            return
        transaction.to_tag = invite.to_tag  # section 9.2: the same tag as in the INVITE's responses
        transaction.reply(200, now, headers=self.agent_line)
        if isinstance(invite.user_data, IncomingCall):
            invite.user_data.on_cancel(now)

    def _on_options(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        if request.to_tag and self.config.options_in_dialog != 200:
            if self._call_of(transaction, now) is not None:
                self.reject(transaction, self.config.options_in_dialog, now)
            return
        accept = b"Accept: " + SDP_TYPE + b"\r\n"
        transaction.reply(200, now, headers=self.allow_line + accept + self.agent_line)

    def on_ack(self, ack: Incoming, transaction: ServerTransaction | None, now: float) -> None:
        call = self._call_in(DialogId(ack.call_id, ack.to_tag, ack.from_tag))
        if call is not None:
            call.on_ack(ack, now)
        else:
            why = "ACK: no dialog has its Call-ID and tags (RFC 3261 12.2.2)"
            facts = Facts(method="ACK", part="Call-ID", reference="RFC 3261 12.2.2")
            self.note(now, EventKind.DISCARDED, why, facts)

    _methods: ClassVar[dict[bytes, Callable[[UserAgentServer, ServerTransaction, float], None]]] = {
        b"INVITE": _on_invite,
        b"BYE": _on_bye,
        b"CANCEL": _on_cancel,
        b"OPTIONS": _on_options,
        b"UPDATE": _within,
        b"PRACK": _on_prack,
        b"INFO": _on_info,
        b"REFER": _on_refer,
        b"NOTIFY": _on_notify,
        b"MESSAGE": _on_message,
    }
