"""A transfer names addresses or calls that the far side can't know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.headers import LOCATION_HEADERS, TranslateUris
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sip import SipMessage

_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound
_OTHERS: Final = tuple(name for name in LOCATION_HEADERS if name not in ("refer-to", "referred-by"))


@dataclass(frozen=True)
class IgnoreReferral:
    """Do not translate the headers of a transfer.

    ``mode``: ``address`` leaves the addresses in Refer-To and Referred-By as they are. ``replaces``
    translates the address in Call-ID, both ways, but not in the Call-ID that Replaces repeats.
    """

    mode: Literal["address", "replaces"] = "address"

    def recipe(self) -> Recipe:
        if self.mode == "address":
            return Recipe(base=CORRECT_STEPS, replace={TranslateUris: TranslateUris(_OTHERS)})
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        """For ``replaces``: rewrite Call-ID in both directions."""
        known: dict[bytes, bytes] = context.remember(self, dict)
        old, new = context.inside.ip.encode(), context.outside.ip.encode()
        for field in message.all(b"call-id"):
            if not context.outbound:
                field.value = known.get(field.value, field.value)
            elif old != new and old in field.value:
                written = field.value
                field.value = written.replace(old, new)
                known.pop(field.value, None)
                if len(known) >= _LIMIT:
                    del known[next(iter(known))]
                known[field.value] = written


MODEL = Model(
    id="refer-headers-ignored",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but leaves the private address in Refer-To and Referred-By.",
        examples=(
            Example(
                "headers-refer",
                b"Refer-To: <sip:carol@192.168.1.21:5060?Replaces=",
                b"Refer-To: <sip:carol@192.168.1.21:5060?Replaces=",
            ),
            Example(
                "headers-refer",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 3515 2.1", "RFC 3892 3", "RFC 3891 3"),
        symptom="Transfers to another phone of the home fail: the far side calls a private address.",
        sources=(
            Source('"SIP ALG - Why Does It Need to be Disabled?": call transfer fails', Evidence.SEED),
            Source("Which header fields that is about", Evidence.INFERENCE),
        ),
        shows=(
            Showing(
                "transfer(to=second-phone)",
                "is transferred",
                topology="two-phones",
                phone="plain",
                server="rport-aware",
            ),
        ),
    ),
    fault=IgnoreReferral(),
    variants=({"mode": "replaces"},),
)
