"""Text messages without a session, in both directions (RFC 3428)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from siplab.experiments.scenarios.register import sign_in
from siplab.experiments.trial.registry import Item
from siplab.experiments.trial.stage import Stage
from siplab.lab.phone.phone import Phone

Text = Literal["address", "log"]
_TEXTS: Final[Mapping[Text, str]] = {
    "address": "Call me at 192.168.1.102:5060 - the c=IN IP4 line is fine",
    "log": "The log says Contact: <sip:{user}@{ip}:5060> - is that right?",
}


@dataclass(frozen=True)
class Message:
    """Each side sends the other a text.

    ``text``: an ``address`` stands in it as a trap, or a line of the sender's own SIP ``log``, as people send
    it to a help desk.
    """

    text: Text = "address"

    def run(self, stage: Stage) -> None:
        phone, far = sign_in(stage)
        self._send(stage, phone, far, "bob@lab.test", "far phone")
        self._send(stage, far, phone, "alice@lab.test", "phone")

    def _send(self, stage: Stage, sender: Phone, receiver: Phone, target: str, who: str) -> None:
        sent = _TEXTS[self.text].format(user=sender.config.user, ip=sender.config.ip)
        stage.do(sender, lambda now: sender.message(target, sent, now))
        stage.until(lambda: bool(sender.outbox), 35.0)
        stage.check(
            f"{who} gets the message",
            [text for _, text in receiver.inbox] == [sent],
            "Text messages do not arrive, or arrive changed.",
            repr(receiver.inbox[0][1]) if receiver.inbox else "nothing arrived",
        )
        stage.check(
            f"{who} confirms",
            [status for _, status in sender.outbox] == [200],
            "The sender's phone says that the message could not be delivered.",
            f"status {sender.outbox[0][1] if sender.outbox else 'none'}",
        )


ITEM = Item("message", "Text messages in both directions.", Message())
