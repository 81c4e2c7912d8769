"""Instant messages without a session: MESSAGE (RFC 3428)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.messages import Incoming, name_addr_of, token
from siplab.lab.sip.transaction_fsm import ClientTransaction, ServerTransaction

if TYPE_CHECKING:
    from siplab.lab.phone.phone import Phone


def send(phone: Phone, target: str, uri: bytes, text: str, now: float) -> None:
    """Send ``text`` to ``uri``; ``phone.outbox`` gets ``target`` and the final status."""
    credentials = Credentials(phone.config.user, phone.config.password, phone.rng)
    tag, call_id = token(phone.rng), phone.new_call_id()
    type_line = phone.names.content_type + b"text/plain\r\n"

    def transmit(cseq: int, when: float) -> None:
        request = phone.compose(
            b"MESSAGE",
            uri,
            from_=b"<" + phone.aor + b">;tag=" + tag,
            from_tag=tag,
            to=b"<" + uri + b">",
            call_id=call_id,
            cseq=cseq,
            headers=credentials.lines(b"MESSAGE", uri) + phone.agent_line + type_line,
            body=text.encode(),
        )

        def answered(_: ClientTransaction, status: int, response: Incoming | None, then: float) -> None:
            if response is not None and status in (401, 407) and credentials.accept(response):
                transmit(cseq + 1, then)
            elif status >= 200:
                phone.outbox.append((target, status))

        phone.layer.request(request, phone.origin, phone.config.server, when, answered)

    transmit(1, now)


def on_message(phone: Phone, transaction: ServerTransaction, now: float) -> None:
    """A message arrived: ``phone.inbox`` gets its sender and text."""
    request = transaction.request
    sender = name_addr_of(request.value(b"from")).uri.decode("utf-8", "backslashreplace")
    phone.inbox.append((sender, request.body.decode("utf-8", "replace")))
    transaction.reply(200, now, headers=phone.agent_line)
