"""Search and replace of the phone's address, wherever its text stands."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.alg_models.steps.headers import FitContentLength
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class ReplaceAddressText:
    """Replace the text of the inside address by the public one in every header and in the body.

    Ports stay. ``reverse`` undoes this on the way in; most routers with this fault do not.
    """

    reverse: bool = False

    def recipe(self) -> Recipe:
        return Recipe(last=(self, FitContentLength()))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound:
            old, new = context.inside.ip.encode(), context.outside.ip.encode()
        elif self.reverse:
            old, new = context.outside.ip.encode(), context.inside.ip.encode()
        else:
            return
        message.start_line = message.start_line.replace(old, new)
        for field in message.fields:
            if old in field.raw:
                field.value = field.value.replace(old, new)
        message.body = message.body.replace(old, new)


MODEL = Model(
    id="blind-ip-replace",
    card=Card(
        fault_class="rewriting",
        summary="Replaces the phone's address text everywhere, Call-ID too, and nothing on the way back.",
        examples=(
            Example("register", b"Call-ID: a84b4c76@192.168.1.20", b"Call-ID: a84b4c76@203.0.113.7"),
            Example(
                "register",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport",
                b"Via: SIP/2.0/UDP 203.0.113.7:5060;rport",
            ),
            Example("invite", b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP4 203.0.113.7"),
        ),
        rules=("RFC 3261 12.2.2", "RFC 3261 18.1.2"),
        symptom=(
            "Registration fails: the answer carries a Via and a Call-ID that the phone never sent, so it "
            "ignores the answer. Incoming calls go to a port that is not the mapped one."
        ),
        sources=(
            Source("\"What is SIP ALG?\", 'Breaking SIP signalling'", Evidence.SEED),
            Source(
                "Polycom over TCP: Via, Contact, o=, c= and Call-ID all public",
                Evidence.CAPTURE,
                "https://supportdesk.connect-it.co/portal/en/kb/articles/defeating-alg-s",
            ),
            Source(
                "Plain text search and replace of the private address",
                Evidence.USER_REPORT,
                "https://trac.pjsip.org/repos/wiki/NAT_Routers_Issues?version=3",
            ),
        ),
    ),
    fault=ReplaceAddressText(),
    variants=({"reverse": True},),
)
