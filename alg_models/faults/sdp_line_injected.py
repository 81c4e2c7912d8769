"""The ALG adds a line about the translation to session descriptions."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, NotShown, Recipe, Source
from siplab.lab.wire.sdp import Sdp, SdpLine, address_of
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class InjectTrace:
    """Add ``i=(o=...)`` with the private origin below ``s=`` of session descriptions going out.

    If the session has an ``i=`` line already, none is added: only one is allowed.
    """

    def recipe(self) -> Recipe:
        # First: the address is still private here, and the steps after it correct Content-Length.
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound or b"v=0" not in message.body:
            return
        sdp = Sdp.parse(message.body)
        lines = sdp.session.lines
        name, origin = sdp.session.first(b"s"), sdp.session.first(b"o")
        if name is None or origin is None or sdp.session.first(b"i") is not None:
            return
        if not context.is_inside(address_of(origin).decode("latin-1")):
            return
        ending = name.raw[2 + len(name.value) :]
        words = origin.value.split()
        trace = b"i=(o=" + b" ".join(words[-3:]) + b")" + ending
        lines.insert(lines.index(name) + 1, SdpLine(trace))
        message.body = bytes(sdp)


MODEL = Model(
    id="sdp-line-injected",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but adds a line with the private address to session descriptions.",
        examples=(
            Example("invite", b"s=-\r\n", b"s=-\r\ni=(o=IN IP4 192.168.1.20)\r\n"),
            Example("incoming-ok", b"s=-\r\n", b"s=-\r\ni=(o=IN IP4 192.168.1.20)\r\n"),
        ),
        rules=("RFC 8866 5.4", "RFC 3261 16.6"),
        symptom=(
            "Usually none that a user notices: the line is legal. It tells everybody the private address, "
            "and breaks signatures over the body (RFC 3261 23, RFC 8224) and parsers that know no i=."
        ),
        sources=(
            Source(
                "FortiOS CLI reference, voip-profile: nat-trace, on by default",
                Evidence.VENDOR_DOCUMENTATION,
                "https://docs.fortinet.com/document/fortigate/6.0.0/cli-reference/236303/voip-profile",
            ),
        ),
        not_shown=NotShown(
            "harmless",
            "the line is legal where it stands (RFC 8866 5.4), and a signature over the body is broken by "
            "any ALG that translates, `correct` among them",
        ),
    ),
    fault=InjectTrace(),
)
