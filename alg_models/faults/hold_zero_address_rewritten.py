"""Old-style hold (the address 0.0.0.0) does not arrive as it was sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.descriptions import NOWHERE, connections, described, translated
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.sdp import address_of, set_address
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class RewriteHold:
    """Mishandle the connection address 0.0.0.0.

    ``line``: ``connection`` treats it as the phone's own address in messages going out, and translates
    it and its ports. ``origin`` leaves it, but copies it into o=, in both directions.
    """

    line: Literal["connection", "origin"] = "connection"

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, replace={TranslateSdp: self})

    def apply(self, message: SipMessage, context: Context) -> None:
        if self.line == "origin":
            self._origin(message, context)
            return
        before = described(message)
        held = before is not None and NOWHERE in map(address_of, connections(before))
        if before is None or not held or not context.outbound:
            TranslateSdp().apply(message, context)
            return
        zero = [address_of(line) == NOWHERE for line in connections(before)]
        for line, is_zero in zip(connections(before), zero, strict=True):
            if is_zero:
                set_address(line, context.inside.ip.encode())
        message.body = bytes(before)
        found = translated(message, context)
        if found is None:
            return
        sdp = found[1]
        for line, is_zero in zip(connections(sdp), zero, strict=True):
            if is_zero and address_of(line) != context.nat.public_ip.encode():
                set_address(line, NOWHERE)  # no port was free for it
        message.body = bytes(sdp)

    def _origin(self, message: SipMessage, context: Context) -> None:
        found = translated(message, context)
        if found is None:
            return
        sdp = found[1]
        used = [address_of(sdp.connection(section)) for section in sdp.media if section.port]
        if not used or used[-1] != NOWHERE:
            return
        for line in sdp.session.lines:
            if line.type == b"o":
                set_address(line, NOWHERE)
        message.body = bytes(sdp)


MODEL = Model(
    id="hold-zero-address-rewritten",
    card=Card(
        fault_class="rewriting",
        summary="Translates 0.0.0.0, by which older phones ask for hold, as if it were the phone's address.",
        examples=(Example("media-hold-zero", b"c=IN IP4 0.0.0.0", b"c=IN IP4 203.0.113.7"),),
        rules=("RFC 3264 8.4",),
        symptom="Hold does nothing: the other side never learns of it and goes on talking.",
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c with sip_direct_media=0: any media address is "
                "translated; with the default it goes into o=",
                Evidence.SOURCE_CODE,
            ),
            Source("What that does to 0.0.0.0", Evidence.INFERENCE),
        ),
        shows=(Showing("hold(how=zero-address)", "is silent on hold"),),
    ),
    fault=RewriteHold(),
    variants=({"line": "origin"},),
)
