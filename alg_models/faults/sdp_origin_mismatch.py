"""The origin line of a session description does not follow its connection line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import keep_lines, translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, NotShown, Recipe, Showing, Source
from siplab.lab.wire.headers import tag_of
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class LeaveOrigin:
    """Leave the address of o= going out as the phone wrote it.

    ``when``: ``always``, or only in a ``re-offer``, a request inside a dialog, whose o= then differs from
    the one that the dialog began with.
    """

    when: Literal["always", "re-offer"] = "always"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None or not context.outbound:
            return
        if self.when == "re-offer" and (message.is_response or not tag_of(message.value(b"to"))):
            return
        before, after = found
        for old, new in zip(before.sections, after.sections, strict=True):
            keep_lines(old, new, b"o")
        message.body = bytes(after)


MODEL = Model(
    id="sdp-origin-mismatch",
    card=Card(
        fault_class="rewriting",
        summary="Translates c= and m=, but leaves the private address in o=.",
        examples=(
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("invite", b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP4 192.168.1.20"),
            Example("media-reinvite", b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP4 192.168.1.20"),
        ),
        rules=("RFC 8866 5.2", "RFC 3264 8"),
        symptom=(
            "Calls work until a strict server compares o= with what it knows: hold, transfer and session "
            "refresh are refused, most surely when only later offers keep the private address."
        ),
        sources=(
            Source(
                "Cisco ASA manual: o= may stay wrong when its address is not that of c=",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("That o= of later offers differs from that of the first", Evidence.INFERENCE),
        ),
        shows=(Showing("hold", "is held", server="strict-media", variant={"when": "re-offer"}),),
        not_shown=NotShown(
            "harmless",
            "o= says which session it is, not where (RFC 8866 5.2): no program that was read compares the "
            "first one with anything; with `when=re-offer` a strict server refuses to hold",
        ),
    ),
    fault=LeaveOrigin(),
    variants=({"when": "re-offer"},),
)
