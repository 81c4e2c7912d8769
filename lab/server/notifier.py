"""The server's side of event notification (RFC 6665): message waiting (RFC 3842), dialog state (RFC 4235).

The rules of this file:

- A subscription gets a NOTIFY at once, and one for each change.
- NOTIFYs go to the source of the SUBSCRIBE, or to its Contact if the server's ``store`` is ``contact``.
- Dialog state (busy lamp fields) follows the calls that the proxy carries. The end of a call is notified
  once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.lab.server.core import ServerCore
from siplab.lab.sip.base import SipTransport
from siplab.lab.sip.dialog import Dialog, next_hop
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, Request, hostport, protocol_of, transport_parameter, uri_of
from siplab.lab.sip.transaction_fsm import ClientTransaction, ServerTransaction
from siplab.lab.wire.ip import Endpoint

_TYPES: Final = {
    "message-summary": b"application/simple-message-summary",
    "dialog": b"application/dialog-info+xml",
}


@dataclass
class _Subscriber:
    package: str
    user: str
    dialog: Dialog
    remote: Endpoint
    local: Endpoint
    until: float
    version: int = 0
    transport: SipTransport = "udp"


@dataclass
class Notifier:
    """Subscriptions to the state of the server's users."""

    server: ServerCore
    waiting: dict[str, int] = field(default_factory=dict)  # user -> messages in the mailbox
    calls: dict[bytes, tuple[str, str]] = field(default_factory=dict)  # Call-ID -> called user, state
    _subscribers: dict[tuple[bytes, bytes], _Subscriber] = field(default_factory=dict)
    _numbers: dict[bytes, int] = field(default_factory=dict)  # Call-ID -> id of the dialog
    _begun: int = 0  # calls so far

    def on_subscribe(self, transaction: ServerTransaction, now: float) -> None:
        """A SUBSCRIBE for a user of ours, initial or a refresh."""
        request, server = transaction.request, self.server
        package = request.value(b"event").partition(b";")[0].strip().decode("ascii", "replace")
        if package not in _TYPES:
            allowed = b"Allow-Events: " + ", ".join(_TYPES).encode() + b"\r\n"
            server.reject(transaction, 489, now, f"there is no event package '{package}'", allowed)
            return
        if request.to_tag:
            self._refresh(transaction, now)
            return
        uri = uri_of(request.uri)
        user = uri.user.decode("utf-8", "replace") if uri is not None else ""
        if user not in server.config.users:
            server.reject(
                transaction,
                404,
                now,
                f"there is no user {user!r}",
                facts=Facts(part="start line", value=user),
            )
            return
        seconds = _expires(request)
        self._grant(transaction, seconds, now)
        dialog = Dialog.of_callee(request, transaction.to_tag, 0)
        remote = request.source
        if server.config.store == "contact":
            remote = next_hop(dialog.remote_target) or remote
        subscriber = _Subscriber(package, user, dialog, remote, request.local, now + seconds)
        subscriber.transport = request.transport
        self._subscribers[dialog.call_id, dialog.local_tag] = subscriber
        self._notify(subscriber, now)

    def _refresh(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        subscriber = self._subscribers.get((request.call_id, request.to_tag))
        if subscriber is None or subscriber.until <= now:
            self.server.reject(transaction, 481, now, "there is no such subscription")
            return
        seconds = _expires(request)
        subscriber.until = now + seconds
        if self.server.config.store != "contact":
            subscriber.remote, subscriber.transport = request.source, request.transport
        self._grant(transaction, seconds, now)
        self._notify(subscriber, now)

    def _grant(self, transaction: ServerTransaction, seconds: int, now: float) -> None:
        request = transaction.request
        own = hostport(request.local) + transport_parameter(request.transport)
        contact = b"Contact: <sip:%b>\r\n" % own
        lines = b"Expires: %d\r\n" % seconds + contact + self.server.server_line
        transaction.reply(200, now, headers=lines)

    # -- what changes --------------------------------------------------------------------------

    def set_waiting(self, user: str, messages: int, now: float) -> None:
        """A user's mailbox has so many messages now."""
        self.waiting[user] = messages
        self._tell("message-summary", user, now)

    def set_call(self, call_id: bytes, user: str, state: str, now: float) -> None:
        """A call to ``user`` has reached a state: ``trying``, ``early``, ``confirmed`` or ``terminated``."""
        if self.calls.get(call_id, ("", ""))[1] == state:
            return
        if call_id not in self.calls:
            self._numbers[call_id], self._begun = self._begun, self._begun + 1
        self.calls[call_id] = (user, state)
        self._tell("dialog", user, now)
        if state == "terminated":
            del self.calls[call_id], self._numbers[call_id]

    def end_call(self, call_id: bytes, now: float) -> None:
        """A call is over."""
        if call_id in self.calls:
            self.set_call(call_id, self.calls[call_id][0], "terminated", now)

    def _tell(self, package: str, user: str, now: float) -> None:
        for key, each in list(self._subscribers.items()):
            if each.until <= now:
                del self._subscribers[key]
            elif (each.package, each.user) == (package, user):
                self._notify(each, now)

    # -- NOTIFY --------------------------------------------------------------------------------

    def _notify(self, subscriber: _Subscriber, now: float) -> None:
        dialog, layer = subscriber.dialog, self.server.layer
        dialog.local_cseq += 1
        left = max(0, round(subscriber.until - now))
        state = b"active;expires=%d" % left if left else b"terminated;reason=timeout"
        body = self._body(subscriber)
        branch = layer.branch()
        own = hostport(subscriber.local)
        lines = b"Event: %b\r\nSubscription-State: %b\r\nContact: <sip:%b>\r\nContent-Type: %b\r\n" % (
            subscriber.package.encode(),
            state,
            own + transport_parameter(subscriber.transport),
            _TYPES[subscriber.package],
        )
        request = Request(
            b"NOTIFY",
            dialog.remote_target,
            sent_by=subscriber.local,
            branch=branch,
            via=protocol_of(subscriber.transport) + own + b";rport;branch=" + branch,
            from_=dialog.local,
            from_tag=dialog.local_tag,
            to=dialog.remote,
            call_id=dialog.call_id,
            cseq=dialog.local_cseq,
        ).compose(lines + self.server.server_line, body)
        key = (dialog.call_id, dialog.local_tag)

        def answered(_: ClientTransaction, status: int, response: Incoming | None, later: float) -> None:
            if status >= 300:
                facts = Facts(status, "NOTIFY")
                self.server.note(later, EventKind.NOTIFY_FAILED, f"{subscriber.package}: {status}", facts)
                if status in (408, 481):
                    self._subscribers.pop(key, None)

        layer.request(request, subscriber.local, subscriber.remote, now, answered)
        subscriber.version += 1

    def _body(self, subscriber: _Subscriber) -> bytes:
        user, domain = subscriber.user, self.server.config.domain
        if subscriber.package == "message-summary":
            count = self.waiting.get(user, 0)
            yes = "yes" if count else "no"
            return f"Messages-Waiting: {yes}\r\nVoice-Message: {count}/0 (0/0)\r\n".encode()
        dialogs = "".join(
            f'<dialog id="{self._numbers[call_id]}"><state>{state}</state></dialog>'
            for call_id, (called, state) in self.calls.items()
            if called == user
        )
        return (
            '<?xml version="1.0"?>\r\n<dialog-info xmlns="urn:ietf:params:xml:ns:dialog-info" '
            f'version="{subscriber.version}" state="full" entity="sip:{user}@{domain}">'
            f"{dialogs}</dialog-info>\r\n"
        ).encode()


def _expires(request: Incoming) -> int:
    value = request.value(b"expires")
    return min(int(value), 3600) if value.isdigit() and len(value) < 10 else 3600
