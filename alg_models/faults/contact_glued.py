"""A rewritten Contact loses its line end."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class GlueContact:
    """Remove the line end after each translated Contact, so that the next header becomes part of it."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or context.outside.ip.encode() not in message.value(b"contact"):
            return
        head, separator, rest = bytes(message).partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        glued = b""
        for at, line in enumerate(lines):
            last = at == len(lines) - 1
            glued += line if last or line[:8].lower() == b"contact:" else line + b"\r\n"
        message.become(glued + separator + rest)


MODEL = Model(
    id="contact-glued",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but loses the line end behind a Contact that it has rewritten.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>\r\nExpires",
                b"Contact: <sip:alice@203.0.113.7:61002>Expires",
            ),
        ),
        rules=(
            "RFC 3261 7.3",
            "RFC 3261 25.1",
        ),
        symptom=(
            "The server answers 400, or reads a Contact with a parameter that nobody wrote, and the "
            "header behind it is gone."
        ),
        sources=(
            Source(
                "kamailio issue 1257 has a message of that shape, with the next header behind the "
                "Contact; there a proxy wrote it",
                Evidence.USER_REPORT,
                "https://github.com/kamailio/kamailio/issues/1257",
            ),
            Source("That an ALG which exchanges an address by lengths does the same", Evidence.INFERENCE),
        ),
    ),
    fault=GlueContact(),
)
