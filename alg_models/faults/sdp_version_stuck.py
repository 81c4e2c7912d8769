"""A later session description has different content but the same version."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_VERSION: Final = re.compile(rb"(?<=\n)(o=\S+ \S+ )\d+")


@dataclass(frozen=True)
class StickVersion:
    """The version in o= is 1 in every description, both ways."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.body.startswith(b"v="):
            message.body = _VERSION.sub(rb"\g<1>1", message.body)
            message.fit_content_length()


MODEL = Model(
    id="sdp-version-stuck",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but the version in o= never changes.",
        examples=(
            Example("invite-ok", b"o=bob 2 1 IN IP4 198.51.100.20", b"o=bob 2 1 IN IP4 198.51.100.20"),
            Example(
                "media-next-version", b"o=alice 1 2 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP4 203.0.113.7"
            ),
        ),
        rules=(
            "RFC 3264 8",
            "RFC 8866 5.2",
        ),
        symptom=(
            "Who goes by the version takes a changed description for the old one: hold, resume and fax "
            "have no effect."
        ),
        sources=(
            Source(
                "rtpengine issue 1911: a later description names another port under the same version",
                Evidence.USER_REPORT,
                "https://github.com/sipwise/rtpengine/issues/1911",
            ),
        ),
        shows=(Showing("fax", "callee gets fax", phone="desk(same_sdp_version=ignore)"),),
    ),
    fault=StickVersion(),
)
