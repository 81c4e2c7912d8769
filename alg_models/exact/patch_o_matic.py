"""The ALG of netfilter's patch-o-matic, 2005: kernels before 2.6.18 have it if they were patched with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.exact import _early
from siplab.alg_models.exact._early import Address, address, put
from siplab.alg_models.exact._text import find
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

# Atomic group: only the first "sip:" counts, and an @ must follow it.
_REQUEST_LINE: Final = re.compile(rb"(?>[^\r\n]*?sip:)[^\r\n@]*@")
_AT_SIGN: Final = re.compile(rb"[^@]*@")  # runs past the end of the line
_DESCRIBING: Final = (b"INVITE", b"SIP/2.0 200")
_SHORTEST: Final = 7  # bytes: shorter payloads are dropped
_MOST: Final = 1  # expectations of a flow


@dataclass(frozen=True)
class PatchOMatic:
    """The whole ALG.

    ``crippled``: the code that writes addresses is compiled out; the ALG still drops what it can't parse, and
    still writes Content-Length.
    """

    crippled: bool = False

    def recipe(self) -> Recipe:
        return Recipe(base=(self,), policy=_early.POLICY)

    def apply(self, message: SipMessage, context: Context) -> None:
        text = bytes(message)
        if context.binding is None:  # IPv6
            return
        if len(text) < _SHORTEST:
            context.drop("too short to be a message")
        flow = context.remember("patch-o-matic", _early.Flows).of(context)
        response = text.startswith(b"SIP/2.0")
        if context.outbound:
            if not response:
                text = self._via(text, context.outside, context)
            text = self._contact(text, context)
        elif response:
            text = self._via(text, context.inside, context)
            if b"CSeq:" not in text:
                context.drop("no CSeq")
        else:
            text = self._request_uri(text, context)
        if context.outbound is flow.first_outbound:
            text = self._description(text, flow, context)
        _early.become(message, text)

    def _write(self, text: bytes, place: Address, endpoint: Endpoint) -> bytes:
        return text if self.crippled else put(text, place, str(endpoint).encode())

    def _via(self, text: bytes, endpoint: Endpoint, context: Context) -> bytes:
        """Overwrite the address in the first Via, whatever it is. Drop the packet if there is none."""
        at = find(_early.VIA, text)
        place = address(text, at) if at >= 0 else None
        if place is None:
            context.drop("no Via with an address")
            return text
        return self._write(text, place, endpoint)

    def _contact(self, text: bytes, context: Context) -> bytes:
        """Overwrite the address after the first @ that follows the first Contact, whatever it is."""
        at = find(_early.CONTACT, text)
        user = _AT_SIGN.match(text, at) if at >= 0 else None
        place = address(text, user.end()) if user else None
        return text if place is None else self._write(text, place, context.outside)

    def _request_uri(self, text: bytes, context: Context) -> bytes:
        user = _REQUEST_LINE.match(text)
        place = address(text, user.end()) if user else None
        if place is None:
            context.drop("no user at an address in the request line")
            return text
        return self._write(text, place, context.inside)

    def _description(self, text: bytes, flow: _early.Flow, context: Context) -> bytes:
        """Translate the first c= and m=audio. Called for messages of the side that opened the flow."""
        if not text.startswith(_DESCRIBING):
            return text
        at = find(_early.CONNECTION, text)
        if at < 0:
            return text
        place = address(text, at)
        if place is None:
            context.drop("c= has no address")
            return text
        port = _early.media_port(text, context)
        if port is None:
            return text
        ip = context.outside.ip if context.outbound else place.ip
        if context.outbound:
            port = _early.expect(flow, Endpoint(place.ip, port), _MOST, context)
        written = _early.write_description(text, ip, port, context)
        return _early.fit_length(text, context) if self.crippled else written


MODEL = Model(
    id="patch-o-matic",
    card=Card(
        summary=(
            "Netfilter's ALG of 2005: writes its address over whatever stands there, and drops what it "
            "can't parse."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # The phone gets its Via back, and not its Contact.
            Example(
                "register-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "register-ok",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;",
            ),
            # A Via with another host's address is overwritten as well.
            Example(
                "headers-high-port-ok",
                b"Via: SIP/2.0/UDP 203.0.113.7:61004;",
                b"Via: SIP/2.0/UDP 192.168.1.20:40000;",
            ),
            Example("media-refused", b"INVITE sip:bob@lab.test", None),
            Example("media-named-connection", b"c=IN IP4 pc.example.org", None),
        ),
        rules=("RFC 3261 16.6", "RFC 3261 18.2.2", "RFC 3261 20.14", "RFC 3264 6", "RFC 5626 4.4.1"),
        symptom=(
            "The phone sees a Contact in its registration that is not its own. Requests without a user in "
            "the Request-URI, keep-alives and refused streams vanish. With `crippled` nothing is translated, "
            "and all that vanishes as well."
        ),
        sources=(
            Source(
                "Vizio_XWR100_GPL linux/kernels/mips-linux-2.6.15 ip_conntrack_sip.c and ip_nat_sip.c at "
                "e0b5d08e",
                Evidence.SOURCE_CODE,
                "https://github.com/cmtsij/Vizio_XWR100_GPL",
            ),
            Source(
                "crippled: LRT2x4_v1.0.2.06_GPL_source net/ipv4/netfilter/ip_nat_sip.c line 45 at "
                "0e6efffb, where "
                "mangle_sip_packet is compiled out",
                Evidence.SOURCE_CODE,
                "https://github.com/KrisChaplin/LRT2x4_v1.0.2.06_GPL_source",
            ),
            Source(
                "That REGISTER's Contact is never restored: the text that is looked for has its "
                "terminating zero "
                "compared, too. That a description without c= or m=audio passes",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=PatchOMatic(),
    variants=({"crippled": True},),
)
