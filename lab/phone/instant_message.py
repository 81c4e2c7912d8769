"""Instant messages without a session: MESSAGE (RFC 3428)."""

from __future__ import annotations

from collections.abc import Callable

from siplab.lab.phone.user_agent import UserAgent
from siplab.lab.sip.digest import Credentials
from siplab.lab.sip.messages import Incoming, name_addr_of, token
from siplab.lab.sip.transaction_fsm import ClientTransaction, ServerTransaction


def send(phone: UserAgent, uri: bytes, text: str, now: float, outcome: Callable[[int], None]) -> None:
    """Send ``text`` to ``uri``; ``outcome`` is called with the final status."""
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
                outcome(status)

        phone.layer.request(request, phone.origin, phone.config.server, when, answered)

    transmit(1, now)


def on_message(phone: UserAgent, transaction: ServerTransaction, now: float) -> tuple[str, str]:
    """A message arrived; returns its sender and text."""
    request = transaction.request
    sender = name_addr_of(request.value(b"from")).uri.decode("utf-8", "backslashreplace")
    transaction.reply(200, now, headers=phone.agent_line)
    return sender, request.body.decode("utf-8", "replace")
