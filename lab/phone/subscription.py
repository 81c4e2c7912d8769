"""The subscriber's side of event notification: SUBSCRIBE and NOTIFY (RFC 6665).

The rules of this file:

- A NOTIFY may arrive before the 200 to its SUBSCRIBE. Its Call-ID and our tag identify the subscription.
- A subscription is refreshed after half its lifetime, within its dialog.
"""

from __future__ import annotations

from siplab.lab.counting import number_of
from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.dialog import Dialog
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import Incoming, token
from siplab.lab.sip.timers import Timer
from siplab.lab.sip.transaction_fsm import ClientTransaction, ServerTransaction


class Subscription:
    """One subscription. ``status``: the final status of the last SUBSCRIBE.

    ``state``: the state in the last NOTIFY. ``notifications``: the bodies that arrived, oldest first.
    """

    def __init__(self, phone: UserAgent, package: str, target: bytes, expires: int) -> None:
        self.phone = phone
        self.package = package
        self.target = target
        self.expires = expires
        self.status = 0
        self.state = ""
        self.notifications: list[bytes] = []
        self.call_id = phone.new_call_id()
        self.tag = token(phone.rng)
        self._cseq = 0
        self._dialog: Dialog | None = None
        self._credentials = Credentials(phone.config.user, phone.config.password, phone.rng)
        self._timer: Timer | None = None

    def send(self, now: float) -> None:
        """Subscribe, or refresh."""
        phone, dialog = self.phone, self._dialog
        self._cseq += 1
        uri, routes, remote = self.target, b"", phone.config.server
        to = b"<" + self.target + b">"
        if dialog is not None:
            uri, route_set, hop = dialog.target()
            routes = b"".join([b"Route: " + each + b"\r\n" for each in route_set])
            to = dialog.remote
            remote = phone.resolve(hop) or remote
        lines = phone.contact_line + b"Event: %b\r\nExpires: %d\r\n" % (self.package.encode(), self.expires)
        request = phone.compose(
            b"SUBSCRIBE",
            uri,
            from_=b"<" + phone.aor + b">;tag=" + self.tag,
            from_tag=self.tag,
            to=to,
            call_id=self.call_id,
            cseq=self._cseq,
            routes=routes,
            headers=lines + self._credentials.lines(b"SUBSCRIBE", uri) + phone.agent_line,
        )
        phone.layer.request(request, phone.origin, remote, now, self._answered)

    def _answered(
        self, transaction: ClientTransaction, status: int, response: Incoming | None, now: float
    ) -> None:
        if status < 200:
            return
        if response is not None and status in (401, 407) and self._credentials.accept(response):
            self.send(now)
            return
        self.status = status
        if response is None or status >= 300:
            facts = Facts(status, "SUBSCRIBE")
            self.phone.note(now, EventKind.SUBSCRIPTION_FAILED, f"{self.package}: {status}", facts)
            self._dialog = None
            return
        self._dialog = Dialog.of_caller(response)
        granted = response.value(b"expires")
        seconds = int(granted) if granted.isdigit() and len(granted) < 10 else self.expires
        if seconds:
            due = now + max(seconds / 2, 1.0)
            self._timer = self.phone.layer.timers.start(due, lambda _, later: self.send(later))

    def on_notify(self, transaction: ServerTransaction, now: float) -> None:
        """A NOTIFY of this subscription arrived."""
        request = transaction.request
        self.state = request.value(b"subscription-state").partition(b";")[0].decode("ascii", "replace")
        self.notifications.append(request.body)
        if self.state.strip().lower() == "terminated" and self._timer is not None:
            self._timer.cancel()  # there is nothing left to refresh
        transaction.reply(200, now, headers=self.phone.agent_line)
        self.phone.note(
            now, EventKind.NOTIFIED, f"{self.package}: {self.state}, {number_of(len(request.body), 'byte')}"
        )
