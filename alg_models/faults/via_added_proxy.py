"""The router acts as a proxy: it adds its own Via on top, and writes headers its own way."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import written
from siplab.alg_models.steps.headers import TranslateVia
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import tag_of, vias
from siplab.lab.wire.ip import TCP
from siplab.lab.wire.sip import Field, SipMessage

_ECHOED: Final = frozenset({b"via", b"from", b"to", b"call-id", b"cseq"})


@dataclass(frozen=True)
class InsertProxy:
    """Add a Via on top of requests going out, instead of translating the phone's, and decrement Max-Forwards.

    The topmost Via of the answer is removed again. If Max-Forwards does not allow forwarding, the request is
    answered 483. ``fingerprint``: write headers as they look in a capture:
    ``max-forwards`` in lower case, To above From, Content-Length padded to five places.
    """

    fingerprint: bool = True

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateVia: None}, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.is_response is context.outbound:
            return  # a request coming in, or its answer: the router is no proxy in this direction
        if context.outbound:
            self._forward(message, context)
        else:
            self._take_off(message, context)

    def _forward(self, message: SipMessage, context: Context) -> None:
        self._count(message, context)
        at = next((at for at, field in enumerate(message.fields) if field.name == b"via"), 0)
        transport = b"TCP " if context.protocol == TCP else b"UDP "
        value = b"SIP/2.0/" + transport + written(context.outside) + b";branch=" + _branch(message)
        message.fields.insert(at, Field.make(b"Via", value))
        if self.fingerprint:
            self._write_anew(message)

    def _count(self, message: SipMessage, context: Context) -> None:
        field = message.get(b"max-forwards")
        if field is None or not field.value.isdigit():
            return
        left = int(field.value[:9]) - 1
        if left < 0:
            if message.method != b"ACK":
                context.answer(_too_many_hops(message))
            context.drop("Max-Forwards is 0")
        field.value = b"%d" % left

    def _write_anew(self, message: SipMessage) -> None:
        fields = message.fields
        places = {field.name: at for at, field in enumerate(fields)}
        for at, field in enumerate(fields):
            if field.name == b"max-forwards" and field.value.isdigit():
                fields[at] = Field.make(b"max-forwards", field.value)
            elif field.name == b"content-length" and field.value.isdigit():
                fields[at] = Field.make(b"Content-Length", field.value.rjust(5))
        sender, receiver = places.get(b"from"), places.get(b"to")
        if sender is not None and receiver is not None and sender < receiver:
            fields[sender], fields[receiver] = fields[receiver], fields[sender]

    def _take_off(self, message: SipMessage, context: Context) -> None:
        field = message.get(b"via")
        if field is None:
            return
        top = vias(field.value)[:1]
        if not top or top[0].sent_by.bare_host != context.outside.ip.encode():
            return
        rest = _without_top(message, field, top[0].end)
        if top[0].branch == _branch(rest):
            message.fields = rest.fields


def _without_top(message: SipMessage, field: Field, end: int) -> SipMessage:
    """The message without its first Via value, which ends at ``end`` in ``field``."""
    behind = field.value[end:].lstrip(b", \t\r\n")
    fields = [each for each in message.fields if each is not field]
    if behind:
        fields.insert(message.fields.index(field), Field.make(b"Via", behind))
    return SipMessage(message.start_line, fields)


def _branch(message: SipMessage) -> bytes:
    """The branch of the proxy's Via. Only the Via below decides, so ACK and CANCEL get their INVITE's."""
    below = vias(message.value(b"via"))[:1]
    seen = below[0].branch if below else message.value(b"call-id")
    return b"z9hG4bK" + hashlib.sha256(seen).hexdigest()[:12].encode()


def _too_many_hops(request: SipMessage) -> bytes:
    """A 483 answer, with the fields that RFC 3261 section 8.2.6.2 wants repeated, and a To tag."""
    fields = [Field(field.raw) for field in request.fields if field.name in _ECHOED]
    for field in fields:
        if field.name == b"to" and not tag_of(field.value):
            field.value += b";tag=" + _branch(request)[-8:]
    fields.append(Field.make(b"Content-Length", b"0"))
    return bytes(SipMessage(b"SIP/2.0 483 Too Many Hops\r\n", fields))


MODEL = Model(
    id="via-added-proxy",
    card=Card(
        fault_class="rewriting",
        summary=(
            "Translates correctly, but as a proxy that nobody asked for: an extra Via, Max-Forwards counted "
            "down, headers reordered and respelled."
        ),
        examples=(
            Example("register", b"Max-Forwards: 70", b"max-forwards: 69"),
            Example(
                "register",
                b"REGISTER sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
                b"REGISTER sip:lab.test SIP/2.0\r\n"
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK5e49992ae7c2\r\n"
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
            ),
            Example("invite", b"Content-Length: 110", b"Content-Length:   108"),
            Example("headers-last-hop", b"Max-Forwards: 0", None, answer=b"SIP/2.0 483 Too Many Hops"),
        ),
        rules=("RFC 3261 16.3", "RFC 3261 16.6", "RFC 3261 16.11"),
        symptom=(
            "Usually none that a user notices; requests that may pass only few hops are refused with 483, "
            "and the private address stays readable in the second Via."
        ),
        sources=(
            Source(
                "README of the detector ibc/sip-alg-detector: a message before and after such a router",
                Evidence.CAPTURE,
            ),
            Source("The 483: what RFC 3261 section 16.3 has a proxy do", Evidence.INFERENCE),
        ),
        shows=(
            Showing("outgoing-call", "rings", phone="quirky(quirk=few-hops)"),
            Showing("outgoing-call", "rings", phone="quirky(quirk=few-hops)", variant={"fingerprint": False}),
        ),
    ),
    fault=InsertProxy(),
    variants=({"fingerprint": False},),
)
