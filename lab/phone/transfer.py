"""Call transfer: REFER (RFC 3515), its progress in NOTIFY (RFC 3420 sipfrag), Replaces (RFC 3891).

The rules of this file:

- REFER and its NOTIFYs are sent in the dialog of the call that is transferred (RFC 5589).
- The side that gets the REFER answers 202, places the new call, and reports 100 and the final status.
- An INVITE with Replaces is answered at once. Its call takes the place of the call that it names, and that
  one is hung up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from siplab.lab.phone.call import Call, CallState
from siplab.lab.sip.dialog import DialogId
from siplab.lab.sip.events import EventKind, Facts
from siplab.lab.sip.messages import REASONS, Incoming, name_addr_of
from siplab.lab.sip.transaction_fsm import ServerTransaction
from siplab.lab.wire import headers

OPTION: Final = "replaces"
SIPFRAG: Final = b"message/sipfrag"
_ONE_LINE: Final = re.compile(rb"[^\0\r\n]*(?:\r\n)?")


Place = Callable[[bytes, float, bytes], Call | None]
"""``place(uri, now, headers)`` begins a call; it returns ``None`` if it can't."""


def refer(call: Call, target: bytes, now: float, replaced: Call | None = None) -> None:
    """Ask the other side of ``call`` to call ``target``, in the place of our call ``replaced`` if given.

    ``call.transfer_status`` shows the progress: 0, then the status that the other side reports.
    """
    dialog = call.dialog
    if dialog is None or call.over:
        call.phone.note(now, EventKind.NOT_SENT, "REFER: there is no call", Facts(method="REFER"))
        return
    uri = target
    if replaced is not None and replaced.dialog is not None:
        other = replaced.dialog
        # The tags as the target of the transfer knows them (RFC 3891 section 3).
        value = b"%b;to-tag=%b;from-tag=%b" % (other.call_id, other.remote_tag, other.local_tag)
        uri += b"?Replaces=" + quote(value, safe="").encode()
    call.transfer_status, call.refers = 0, True
    lines = b"Refer-To: <%b>\r\nReferred-By: <%b>\r\n" % (uri, call.phone.aor) + call.phone.contact_line

    def outcome(status: int, later: float) -> None:
        if status >= 300:
            call.transfer_status = status
            call.phone.note(later, EventKind.TRANSFER_REFUSED, str(status), Facts(status, "REFER"))

    call.request(dialog, b"REFER", now, lines, outcome=outcome)


def on_refer(call: Call, transaction: ServerTransaction, now: float, place: Place) -> None:
    """The other side asks us to call somebody else."""
    phone = call.phone
    value = transaction.request.value(b"refer-to")
    uri = name_addr_of(value).uri if value else b""
    plain, _, rest = uri.partition(b"?")
    lines = b""
    for each in rest.split(b"&"):
        name, _, text = each.partition(b"=")
        if name.lower() == b"replaces":
            lines += b"Replaces: " + unquote_to_bytes(text) + b"\r\n"
    # Escaped text may contain anything, but must not add header lines (RFC 3261 section 19.1.5).
    if headers.parse_uri(plain) is None or b" " in plain or not _ONE_LINE.fullmatch(plain + lines):
        phone.reject(transaction, 400, now)
        return
    transaction.reply(202, now, headers=phone.contact_line + phone.agent_line)
    _report(call, 100, now)
    referred_by = transaction.request.value(b"referred-by")
    if referred_by:
        lines += b"Referred-By: " + referred_by + b"\r\n"
    new = place(plain, now, lines)
    if new is None:
        _report(call, 486, now)
        return
    reported: list[int] = []

    def watch(watched: Call, later: float) -> None:
        if not reported and (watched.state is CallState.ESTABLISHED or watched.over):
            reported.append(watched.status)
            _report(call, watched.status or 500, later)

    new.watchers.append(watch)


def _report(call: Call, status: int, now: float) -> None:
    if call.dialog is None or call.over:
        return
    over = status >= 200
    state = b"terminated;reason=noresource" if over else b"active;expires=60"
    lines = (
        b"Event: refer\r\nSubscription-State: %b\r\n" % state
        + call.phone.contact_line
        + b"Content-Type: message/sipfrag;version=2.0\r\n"
    )
    body = b"SIP/2.0 %d %b\r\n" % (status, REASONS.get(status, b"Unknown"))
    call.request(call.dialog, b"NOTIFY", now, lines, body)


def on_notify(call: Call, transaction: ServerTransaction, now: float) -> None:
    """The other side reports on its new call; once that is up, ours is hung up (RFC 5589 6.1)."""
    phone, request = call.phone, transaction.request
    words = request.body.split()
    if not call.refers:
        phone.reject(transaction, 481, now)  # RFC 6665 section 4.1.3: nobody asked for it
        return
    if request.value(b"event").partition(b";")[0].strip().lower() != b"refer":
        phone.reject(transaction, 489, now)
        return
    if request.value(b"content-type").partition(b";")[0].strip().lower() != SIPFRAG or len(words) < 2:
        phone.reject(transaction, 400, now)
        return
    transaction.reply(200, now, headers=phone.agent_line)
    call.transfer_status = int(words[1]) if words[1].isdigit() and len(words[1]) == 3 else 0
    phone.note(now, EventKind.TRANSFER, f"{call.transfer_status}", Facts(call.transfer_status))
    if 200 <= call.transfer_status < 300 and not call.over:
        call.bye(now, reason="transferred")


def replaces(request: Incoming) -> DialogId | None:
    """The dialog that an INVITE with Replaces names, from our side; ``None`` without the header."""
    value = request.value(b"replaces")
    if not value:
        return None
    call_id, _, rest = value.partition(b";")
    tags = headers.parameters(b";" + rest)
    return DialogId(call_id.strip(), tags.get(b"to-tag", b""), tags.get(b"from-tag", b""))
