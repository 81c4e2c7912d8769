"""In a multipart body, Content-Length is counted from the session description on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.samples.basic import SDP
from siplab.alg_models.samples.media import MULTIPART
from siplab.alg_models.steps.descriptions import described
from siplab.alg_models.steps.headers import FitContentLength
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, NotShown, Recipe, Source
from siplab.lab.wire.sip import SipMessage

_VERSION: Final = re.compile(rb"(?:\A|(?<=[\r\n]))v=\d")
# o= and c= each lose the difference between the two addresses' texts.
_SHRINKS: Final = 2 * (len("192.168.1.20") - len("203.0.113.7"))
_LENGTH: Final = len(MULTIPART)


@dataclass(frozen=True)
class CountFromVersion:
    """Set Content-Length to the number of bytes from the ``v=`` line to the end of the message."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={FitContentLength: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        message.fit_content_length()
        field = message.get(b"content-length")
        begins = _VERSION.search(message.body) if described(message) else None
        if field is not None and begins is not None and begins.start():
            field.value = b"%d" % (len(message.body) - begins.start())


MODEL = Model(
    id="content-length-multipart-short",
    card=Card(
        fault_class="rewriting",
        summary="Counts Content-Length from the v= line, which is too little for a multipart body.",
        examples=(
            Example(
                "media-multipart",
                b"Content-Length: %d" % _LENGTH,
                b"Content-Length: %d" % (_LENGTH - MULTIPART.index(SDP) - _SHRINKS),
            ),
        ),
        rules=("RFC 3261 20.14", "RFC 2046 5.1.1"),
        symptom=(
            "Calls that carry more than a session description (a location, a picture of the caller) are "
            "refused or lose their last part; plain calls work."
        ),
        sources=(
            Source(
                "Linux 4.18 net/netfilter/nf_nat_sip.c: the length is counted from the start of the SDP",
                Evidence.SOURCE_CODE,
            ),
            Source("That this is too little for a multipart body", Evidence.INFERENCE),
        ),
        not_shown=NotShown("endpoint", "the lab's phones send no multipart bodies, and answer 415 to one"),
    ),
    fault=CountFromVersion(),
)
