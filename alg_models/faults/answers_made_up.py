"""The router itself answers the phone's requests, with a final answer or a 100."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import tag_of
from siplab.lab.wire.ip import UDP
from siplab.lab.wire.sip import SipMessage

_COPIED: Final = (b"via", b"from", b"to", b"call-id", b"cseq")  # RFC 3261 section 8.2.6.2
_REASONS: Final = {
    100: b"Trying",
    403: b"Forbidden",
    408: b"Request Timeout",
    500: b"Server Internal Error",
}


@dataclass(frozen=True)
class MakeUpAnswers:
    """Answer the phone's UDP requests of one ``method`` with ``status``.

    With a final answer the request goes no further; after a 100 it is forwarded.
    """

    method: Literal["REGISTER", "INVITE"] = "REGISTER"
    status: Literal[100, 403, 408, 500] = 500

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or message.is_response or context.protocol != UDP:
            return
        names = {each.name for each in message.fields}
        if message.method != self.method.encode() or not names.issuperset(_COPIED):
            return
        lines = [b"SIP/2.0 %d %b\r\n" % (self.status, _REASONS[self.status])]
        for each in message.fields:
            if each.name == b"to" and self.status > 100 and not tag_of(each.value):
                lines.append(b"To: %b;tag=router\r\n" % each.value)
            elif each.name in _COPIED:
                lines.append(each.raw.rstrip(b"\r\n") + b"\r\n")
        context.answer(b"".join([*lines, b"Content-Length: 0\r\n\r\n"]))
        if self.status > 100:
            context.drop(f"answered with {self.status} by the router itself")


MODEL = Model(
    id="answers-made-up",
    card=Card(
        fault_class="policy",
        summary="Translates correctly, but answers every REGISTER itself, with 500.",
        examples=(
            Example(
                "register",
                b"REGISTER sip:lab.test SIP/2.0",
                None,
                b"SIP/2.0 500 Server Internal Error\r\nVia: ",
            ),
        ),
        rules=(
            "RFC 3261 16.6",
            "RFC 3261 8.2.6",
        ),
        symptom=(
            "The phone does not register, and the provider, who never saw a request, finds nothing in "
            "its logs."
        ),
        sources=(
            Source(
                "OnSIP: in depth, a mobile network answers REGISTER with 500 itself; the server never saw it",
                Evidence.USER_REPORT,
                "https://www.onsip.com/blog/in-depth-verizon-blocks-sip-traffic-using-alg",
            ),
            Source(
                "siproxd src/security.c at b892b8e6: 403 to a caller that is not registered, and 408",
                Evidence.SOURCE_CODE,
                "https://github.com/hb9xar/siproxd",
            ),
        ),
    ),
    fault=MakeUpAnswers(),
    variants=(
        {"method": "INVITE", "status": 403},
        {"method": "INVITE", "status": 100},
    ),
)
