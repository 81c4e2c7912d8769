"""The provider's Record-Route is damaged on its way to the phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.parameters import whole_parameters
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import split_list, uris
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class MangleRecordRoute:
    """Damage Record-Route coming in.

    ``mode``: ``address`` replaces the proxy's address by the router's public one; ``lr`` removes
    the parameter that makes a proxy a loose router. Entries of the LAN itself stay.
    """

    mode: Literal["address", "lr"] = "address"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound:
            return
        for field in message.all(b"record-route"):
            whole = field.value
            field.replace_all(
                (start + first, start + last, text)
                for start, end in split_list(whole)
                for first, last, text in self._edits(whole[start:end], context)
            )

    def _edits(self, value: bytes, context: Context) -> Iterator[tuple[int, int, bytes]]:
        for place in uris(value)[:1]:
            if context.is_inside(place.bare_host.decode("latin-1")):
                return
            if self.mode == "address":
                yield place.start, place.start + len(place.host), context.nat.public_ip.encode()
                return
            for begin, stop in whole_parameters(value, b"lr", place.end):
                yield begin, stop, b""


MODEL = Model(
    id="record-route-mangled",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but writes its own address over the provider's in Record-Route.",
        examples=(
            Example(
                "headers-routed-ok",
                b"Record-Route: <sip:198.51.100.10;lr>",
                b"Record-Route: <sip:203.0.113.7;lr>",
            ),
        ),
        rules=("RFC 3261 12.1.2", "RFC 3261 16.6", "RFC 3261 16.12"),
        symptom=(
            "The phone sends ACK and BYE to the router instead of the provider: answered calls drop after "
            "32 s, and hanging up is not noticed."
        ),
        sources=(
            Source(
                "Junos and FortiGate documentation: Record-Route is among the headers that are rewritten",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source("That it is the provider's and is not restored", Evidence.INFERENCE),
        ),
    ),
    fault=MangleRecordRoute(),
    variants=({"mode": "lr"},),
)
