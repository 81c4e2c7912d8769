"""The header with the caller's identity does not get through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_HEADERS: Final = frozenset({b"p-asserted-identity", b"p-preferred-identity", b"remote-party-id"})
_NOBODY: Final = b'"Anonymous" <sip:anonymous@anonymous.invalid>'  # RFC 3323 section 4.1.1.3


@dataclass(frozen=True)
class StripIdentity:
    """Take P-Asserted-Identity, P-Preferred-Identity and Remote-Party-ID out, in both directions.

    ``mode``: ``removed`` deletes the fields; ``masked`` keeps them with an anonymous value.
    """

    mode: Literal["removed", "masked"] = "removed"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if self.mode == "removed":
            message.fields = [field for field in message.fields if field.name not in _HEADERS]
            return
        for field in message.fields:
            if field.name in _HEADERS:
                field.value = _NOBODY


MODEL = Model(
    id="identity-header-stripped",
    card=Card(
        fault_class="policy",
        summary="Translates correctly, but takes out the headers by which providers tell who calls.",
        examples=(
            Example(
                "headers-asserted",
                b"CSeq: 1 INVITE\r\n"
                b'P-Asserted-Identity: "Bob" <sip:+15550100@lab.test>\r\n'
                b"Contact: <sip:bob@198.51.100.20:5060>\r\n",
                b"CSeq: 1 INVITE\r\nContact: <sip:bob@198.51.100.20:5060>\r\n",
            ),
        ),
        rules=("RFC 3261 16.6", "RFC 3325 9.1", "RFC 3325 9.2"),
        symptom=(
            "Caller id is missing or wrong; a provider that wants P-Preferred-Identity or Remote-Party-ID "
            "refuses calls or shows the account's main number."
        ),
        sources=(
            Source(
                "Cisco ASA manual: the inspection can remove headers (those that tell software versions)",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("That it happens to headers of identity", Evidence.INFERENCE),
        ),
        shows=(
            Showing("incoming-call(caller_id=true)", "shows who calls"),
            Showing("incoming-call(caller_id=true)", "shows who calls", variant={"mode": "masked"}),
        ),
    ),
    fault=StripIdentity(),
    variants=({"mode": "masked"},),
)
