"""Parameters of a Contact are lost when the ALG rewrites its address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import mask_quoted, split_list, uris
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class LoseContactParameters:
    """Drop parameters of Contacts whose address the ALG has rewritten, going out.

    ``lost``: ``all`` of them, only those of the ``uri`` (inside the angle brackets), or only those of
    the ``header`` (after the brackets; without brackets all are the header's).
    """

    lost: Literal["all", "uri", "header"] = "all"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound:
            for field in message.all(b"contact"):
                whole, public = field.value, context.outside.ip.encode()
                field.replace_all(
                    (start + first, start + last, b"")
                    for start, end in split_list(whole)  # the text before the parameters stays
                    for first, last in self._lost(whole[start:end], public)
                )

    def _lost(self, value: bytes, public: bytes) -> Iterator[tuple[int, int]]:
        places = uris(value)[:1]
        if not places or places[0].host != public:
            return
        after = places[0].end
        masked = mask_quoted(value)
        closing = -1
        if 0 <= masked.find(b"<") < places[0].start:
            closing = masked.find(b">", after)
        if closing < 0:
            if self.lost != "uri":
                yield after, len(value)
            return
        if self.lost != "uri":
            yield closing + 1, len(value)
        if self.lost != "header":
            yield after, closing


MODEL = Model(
    id="contact-params-lost",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but loses the parameters behind a rewritten Contact address.",
        examples=(
            Example(
                "headers-contact-parameters",
                b"Contact: <sip:alice@192.168.1.20:5060;line=x1;ob>"
                b';reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";expires=600\r\n',
                b"Contact: <sip:alice@203.0.113.7:61002>\r\n",
            ),
        ),
        rules=("RFC 3261 16.6", "RFC 3261 20.10", "RFC 5626 4.2", "RFC 5627 4.1"),
        symptom=(
            "Phones with several lines ring on the wrong one or refuse calls; a phone that signs off with "
            "expires=0 stays registered; restarts leave stale registrations behind."
        ),
        sources=(Source("Follows from rewriting a Contact as a whole", Evidence.INFERENCE),),
        shows=(
            Showing(
                "deregister(by=contact)",
                "forgotten by the server",
                phone="quirky(quirk=contact-expires)",
            ),
        ),
    ),
    fault=LoseContactParameters(),
    variants=({"lost": "uri"}, {"lost": "header"}),
)
