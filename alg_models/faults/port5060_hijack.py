"""Requests that a phone sends to port 5060 of any host go to a proxy inside the router."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import split_list, vias
from siplab.lab.wire.sip import Field, SipMessage

_COPIED: Final = (b"via", b"from", b"to", b"call-id", b"cseq")  # RFC 3261 section 8.2.6.2


@dataclass(frozen=True)
class Hijack:
    """Redirect requests that a phone sends by UDP to port 5060 of any host to the router's own proxy.

    ``proxy``: it does not know the domain and answers 403 (``refuses``), does not answer (``silent``),
    or forwards the request with its own Via (``relays``).
    """

    proxy: Literal["refuses", "silent", "relays"] = "refuses"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,), policy={"transports": frozenset({"udp"})})

    def apply(self, message: SipMessage, context: Context) -> None:
        if self.proxy == "relays":
            self._relay(message, context)
        elif context.outbound and not message.is_response:
            if self.proxy == "refuses" and message.method != b"ACK":  # an ACK has no answer
                _refuse(message, context)
            context.drop("redirected to the router's own proxy")

    def _relay(self, message: SipMessage, context: Context) -> None:
        """Add a stateless proxy's Via (RFC 3261 section 16.11) going out, and remove it coming back."""
        via = message.get(b"via")
        if via is None:
            return
        values = vias(via.value)
        if not values:
            return
        top = values[0]
        own = str(context.outside).encode()
        if context.outbound and not message.is_response:
            mark = Field.make(b"Via", b"SIP/2.0/UDP %s;branch=%s-r" % (own, top.branch or b"z9hG4bK0"))
            message.fields.insert(message.fields.index(via), mark)
        elif not context.outbound and message.is_response:
            if top.branch[-2:] != b"-r" or via.value[top.sent_by.start : top.sent_by.end] != own:
                return
            spans = split_list(via.value)
            if len(spans) > 1:  # the server wrote all values in one field
                via.value = via.value[spans[1][0] :].lstrip()
            else:
                message.fields.remove(via)


def _refuse(message: SipMessage, context: Context) -> None:
    copied = [field.raw.rstrip(b"\r\n") + b"\r\n" for field in message.fields if field.name in _COPIED]
    context.answer(
        b"".join([b"SIP/2.0 403 Forbidden\r\n", *copied, b"Server: router\r\nContent-Length: 0\r\n\r\n"])
    )


MODEL = Model(
    id="port5060-hijack",
    card=Card(
        fault_class="policy",
        summary="Redirects what phones send by UDP to port 5060 of any host to a proxy inside the router.",
        examples=(
            Example("register", b"REGISTER sip:lab.test SIP/2.0", None, b"SIP/2.0 403 Forbidden\r\nVia: "),
        ),
        rules=("RFC 3261 8.1.2",),
        symptom=(
            "The phone can't register with its provider: an answer comes, but not the provider's. The "
            "provider sees nothing at all. Another port or TCP works at once."
        ),
        sources=(
            Source(
                "Firewall script of a Tozed LTE router: with the ALG on, UDP from the LAN to its port is "
                "redirected to the router itself",
                Evidence.SOURCE_CODE,
            ),
            Source("What the proxy there does with the messages", Evidence.INFERENCE),
        ),
    ),
    fault=Hijack(),
    variants=({"proxy": "silent"}, {"proxy": "relays"}),
)
