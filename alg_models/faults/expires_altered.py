"""The lifetime of a registration is changed on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Le

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import parameter_spans, split_list, uris
from siplab.lab.wire.sip import Field, SipMessage


@dataclass(frozen=True)
class AlterExpires:
    """Write ``seconds`` into Expires, and into ``expires`` of Contact, of registrations.

    ``of``: in the ``request`` going out, or in the successful ``response`` coming in. A lifetime of 0 (the
    end of a registration) stays.
    """

    of: Literal["request", "response"] = "request"
    seconds: Annotated[int, Ge(1), Le(4294967295)] = 60

    def recipe(self) -> Recipe:
        # Last: the correct ALG keeps the pinhole open for as long as the registrar really grants.
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound is not (self.of == "request") or message.method != b"REGISTER":
            return
        if context.outbound is message.is_response:
            return
        if message.is_response and not 200 <= (message.status or 0) < 300:
            return
        for field in message.fields:
            if field.name == b"expires":
                self._write(field, 0, len(field.value))
            elif field.name == b"contact":
                for start, end in reversed(split_list(field.value)):
                    self._contact(field, start, end)

    def _contact(self, field: Field, start: int, end: int) -> None:
        for place in uris(field.value[start:end])[:1]:
            for name, at, stop in reversed(list(parameter_spans(field.value, start + place.end, end))):
                if name == b"expires":
                    self._write(field, at, stop)

    def _write(self, field: Field, start: int, end: int) -> None:
        lifetime = field.value[start:end]
        if lifetime.isdigit() and lifetime.strip(b"0"):
            field.replace(start, end, b"%d" % self.seconds)


MODEL = Model(
    id="expires-altered",
    card=Card(
        fault_class="rewriting",
        summary="Translates correctly, but asks for another lifetime of registrations than the phone did.",
        examples=(
            Example("register", b"Expires: 3600", b"Expires: 60"),
            Example(
                "headers-contact-parameters",
                b';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";expires=600',
                b';+sip.instance="<urn:uuid:00000000-0000-1000-8000-000a95a0e128>";expires=60',
            ),
        ),
        rules=("RFC 3261 10.2.1.1", "RFC 3261 10.3", "RFC 3261 16.6"),
        symptom=(
            "The registration ends before the phone renews it, when the phone goes by its own number: some "
            "of the time callers reach voicemail. Other phones register every minute, or are refused for "
            "ever by a registrar that wants longer registrations."
        ),
        sources=(
            Source("Follows from RFC 3261 section 10; nobody has been seen to do it", Evidence.INFERENCE),
        ),
        shows=(
            Showing("register", "registered", server="trunk(min_expires=120)"),
            Showing("re-register", "stays known to the server", variant={"of": "response", "seconds": 3600}),
        ),
    ),
    fault=AlterExpires(),
    variants=({"of": "response", "seconds": 3600},),
)
