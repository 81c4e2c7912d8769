"""c= can stand in two places, and the ALG translates only one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import keep_lines, translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class TranslateOneLevel:
    """Translate c= lines going out at one level only.

    ``level``: ``session`` leaves c= lines below m= as they are, ``media`` the one above the first m=.
    """

    level: Literal["session", "media"] = "session"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None or not context.outbound:
            return
        before, after = found
        for old, new in zip(before.sections, after.sections, strict=True):
            if (new is after.session) == (self.level == "media"):
                keep_lines(old, new, b"c")
        message.body = bytes(after)


MODEL = Model(
    id="sdp-session-c-only",
    card=Card(
        fault_class="rewriting",
        summary="Translates the c= line of the session, but not one that a stream has for itself.",
        examples=(
            Example(
                "media-streams",
                b"c=IN IP4 192.168.1.20\r\nt=0 0\r\nm=audio 49170",
                b"c=IN IP4 203.0.113.7\r\nt=0 0\r\nm=audio 61004",
            ),
            Example(
                "media-streams",
                b"m=audio 49172 RTP/AVP 8\r\nc=IN IP4 192.168.1.20",
                b"m=audio 61006 RTP/AVP 8\r\nc=IN IP4 192.168.1.20",
            ),
        ),
        rules=("RFC 8866 5.7", "RFC 3264 5.1"),
        symptom=(
            "A stream with its own c= line is one-way: picture or voice from the far side never arrives, "
            "while streams without such a line are fine."
        ),
        sources=(Source("Follows from RFC 8866 5.7: c= may stand at either level", Evidence.INFERENCE),),
        shows=(
            Showing(
                "outgoing-call",
                "caller hears",
                phone="quirky(quirk=stream-address)",
                server="strict-addresses",
            ),
        ),
    ),
    fault=TranslateOneLevel(),
    variants=({"level": "media"},),
)
