"""The ALG drops requests whose method is not in its list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage

# RFC 3261 section 7.1 and, besides, RFCs 3262, 3311, 3428, 3515, 3903, 6086 and 6665.
_CORE: Final = frozenset({b"REGISTER", b"INVITE", b"ACK", b"CANCEL", b"BYE", b"OPTIONS"})
_REGISTERED: Final = _CORE | {
    b"PRACK",
    b"UPDATE",
    b"MESSAGE",
    b"REFER",
    b"PUBLISH",
    b"INFO",
    b"SUBSCRIBE",
    b"NOTIFY",
}


@dataclass(frozen=True)
class DropUnknownMethods:
    """Drop requests, both ways, whose method is not known.

    ``known``: the ``core`` methods of RFC 3261, or all ``registered`` ones, so that only private methods are
    lost.
    """

    known: Literal["core", "registered"] = "core"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        known = _CORE if self.known == "core" else _REGISTERED
        if message.is_request and message.method not in known:
            context.drop("a request of an unknown method")


MODEL = Model(
    id="unknown-method-dropped",
    card=Card(
        fault_class="policy",
        summary="Translates correctly, but drops every request whose method RFC 3261 itself does not define.",
        examples=(
            Example("transport-subscribe", b"SUBSCRIBE sip:alice@lab.test SIP/2.0", None),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
        ),
        rules=("RFC 3261 16.3", "RFC 3261 8.2.1"),
        symptom=(
            "Calls work, but the message lamp and the busy lamps stay dark, transfers fail (REFER, NOTIFY), "
            "and so do reliable provisional answers (PRACK) and session timers that use UPDATE."
        ),
        sources=(
            Source(
                "FortiOS CLI reference, voip profile: block-unknown (default on), a switch per method",
                Evidence.VENDOR_DOCUMENTATION,
                "https://docs.fortinet.com/document/fortigate/6.0.0/cli-reference/236303/voip-profile",
            ),
            Source("Junos: unknown messages need an explicit permission", Evidence.VENDOR_DOCUMENTATION),
            Source(
                "SIP ALGs and busy lamps that don't follow",
                Evidence.USER_REPORT,
                "https://kb.iplogin.ca/en_US/troubleshooting-topics/"
                "how-sip-alg-impacts-blf-busy-lamp-field-and-sip-signalling",
            ),
        ),
    ),
    fault=DropUnknownMethods(),
    variants=({"known": "registered"},),
)
