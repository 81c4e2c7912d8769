"""The router answers OPTIONS itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import tag_of
from siplab.lab.wire.ip import UDP
from siplab.lab.wire.sip import SipMessage

_COPIED: Final = (b"via", b"from", b"to", b"call-id", b"cseq")  # RFC 3261 section 8.2.6.2


@dataclass(frozen=True)
class AnswerOptions:
    """Answer OPTIONS requests over UDP with 200, and do not forward them.

    ``side``: whose requests the router answers: those of the ``server``, of the ``phone``, or ``both``.
    """

    side: Literal["both", "server", "phone"] = "both"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.is_response or message.method != b"OPTIONS" or context.protocol != UDP:
            return
        if self.side == ("server" if context.outbound else "phone"):
            return
        names = [field.name for field in message.fields]
        if any(name not in names for name in _COPIED):
            return
        tag = context.rng.getrandbits(32)
        lines = [b"SIP/2.0 200 OK\r\n"]
        for field in message.fields:
            if field.name == b"to" and not tag_of(field.value):
                lines.append(b"To: %s;tag=%08x\r\n" % (field.value, tag))
            elif field.name in _COPIED:
                lines.append(field.raw.rstrip(b"\r\n") + b"\r\n")
        context.answer(b"".join([*lines, b"Content-Length: 0\r\n\r\n"]))
        context.drop("OPTIONS answered by the router itself")


MODEL = Model(
    id="options-answered-locally",
    card=Card(
        fault_class="policy",
        summary="Answers OPTIONS with 200 itself, from either side, and does not forward them.",
        examples=(
            Example("state-options-in", b"OPTIONS sip:alice@203.0.113.7", None, b"SIP/2.0 200 OK\r\nVia: "),
            Example("state-options", b"OPTIONS sip:lab.test SIP/2.0", None, b"SIP/2.0 200 OK\r\nVia: "),
        ),
        rules=("RFC 3261 11.2", "RFC 3261 16.6"),
        symptom=(
            "The server's monitoring shows the phone as reachable when it is switched off; calls to it ring "
            "unheard. The phone takes a server for alive that is not."
        ),
        sources=(
            Source(
                "A provider's support page: the ALG 'responds directly to the device'",
                Evidence.USER_REPORT,
                "https://vocphone.atlassian.net/wiki/spaces/VOCS/pages/1871380522",
            ),
            Source("That it does so to OPTIONS, from both sides", Evidence.INFERENCE),
        ),
        shows=(Showing("phone-restart(monitored=true)", "is missed while it is off"),),
    ),
    fault=AnswerOptions(),
    variants=({"side": "server"}, {"side": "phone"}),
)
