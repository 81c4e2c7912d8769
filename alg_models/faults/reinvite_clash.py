"""A new session description in a call clashes with the ALG's expectation from the old one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage

_CALLS: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass
class _Described:
    calls: dict[bytes, None] = field(default_factory=dict)


@dataclass(frozen=True)
class ClashOnReinvite:
    """Drop a re-INVITE going out if the ALG already expects this call's media on the same port.

    The expectation belongs to the flow of the first INVITE. If the phone sends a re-INVITE by another flow,
    its own earlier expectation blocks the port. BYE ends the expectation.
    """

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        calls = context.remember(self, _Described).calls
        if not context.outbound or message.is_response:
            return
        call = message.value(b"call-id")
        if message.method == b"BYE":
            for each in [key for key in calls if key.startswith(call)]:
                del calls[each]
        if message.method != b"INVITE" or not message.body.startswith(b"v="):
            return
        for section in Sdp.parse(message.body).media:
            key = b"%b %d" % (call, section.port or 0)
            branch = message.value(b"cseq").split(b" ")[0]
            if key in calls and (key + branch) not in calls and b";tag=" in message.value(b"to"):
                context.drop("the media of this call is expected already")
            if len(calls) >= _CALLS:
                calls.clear()
            calls[key] = calls[key + branch] = None


MODEL = Model(
    id="reinvite-clash",
    card=Card(
        fault_class="state",
        summary="Translates correctly, but drops a re-INVITE whose media it expects already.",
        examples=(
            Example("media-resume", b"INVITE sip:bob@198.51.100.20", None),
            Example("invite", b"INVITE sip:bob@lab.test", b"INVITE sip:bob@lab.test"),
        ),
        rules=(
            "RFC 3261 14.1",
            "RFC 3264 8",
        ),
        symptom="Calls work; hold, resume, fax and session timers fail, and some phones end the call then.",
        sources=(
            Source(
                "Linux, the patch 'netfilter: nf_conntrack_sip: fix expectation clash' of July 2019: "
                "before it, the second description of a call clashed with its own expectation where the "
                "phone's flow had changed",
                Evidence.SOURCE_CODE,
                "https://github.com/torvalds/linux",
            ),
            Source("That it happens on the same flow, too", Evidence.INFERENCE),
        ),
    ),
    fault=ClashOnReinvite(),
)
