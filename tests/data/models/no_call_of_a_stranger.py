"""Drops calls that come in, and says so in words that mean nothing to an explanation."""

from dataclasses import dataclass

from siplab.model import Card, Context, Model, Recipe, SipMessage


@dataclass(frozen=True)
class DropCalls:
    def apply(self, message: SipMessage, context: Context) -> None:
        if message.method == b"INVITE" and not context.outbound:
            context.drop("no binding for a call of a stranger")


MODEL = Model("no-call-of-a-stranger", Card("Drops calls that come in."), Recipe(last=(DropCalls(),)))
