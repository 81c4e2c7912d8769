"""The ALG writes port numbers that are wrong or above 65535."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import uris
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class OverflowPort:
    """Write a wrong port into Contact and into m= of messages going out.

    ``mode``: ``sentinel`` writes 65536; ``sum`` the inside port plus ``offset``, which
    exceeds 65535 for high ports; ``wrap`` that sum modulo 65536. ``offset`` is in ports.
    """

    mode: Literal["sentinel", "sum", "wrap"] = "sentinel"
    offset: int = 20832

    def _port(self, inside: int) -> int:
        if self.mode == "sentinel":
            return 65536
        port = inside + self.offset
        return port % 65536 if self.mode == "wrap" else port

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, last=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if not context.outbound:
            return
        for field in message.all(b"contact"):
            edits = []
            for place in reversed(uris(field.value)):
                inside = context.private(Endpoint(place.host.decode("latin-1"), place.port or 5060))
                if inside is not None:
                    edits.append((place.start, place.end, place.host + b":%d" % self._port(inside.port)))
            field.replace_all(edits)
        if message.body:
            self._media(message, context)

    def _media(self, message: SipMessage, context: Context) -> None:
        sdp = Sdp.parse(message.body)
        for section in sdp.media:
            binding = context.nat.at_port(UDP, section.port or 0, context.now)
            if binding is not None:
                section.port = self._port(binding.inside.port)
        message.body = bytes(sdp)
        message.fit_content_length()


MODEL = Model(
    id="port-overflow",
    card=Card(
        fault_class="rewriting",
        summary="Translates addresses correctly, but writes ports above 65535 into Contact and m=.",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:65536>",
            ),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 65536 RTP/AVP 0"),
        ),
        rules=("RFC 3261 25.1", "RFC 768", "RFC 8866 5.14"),
        symptom=(
            "A strict server refuses the message; a lenient one calls a port that does not exist: "
            "no calls, no audio."
        ),
        sources=(
            Source("\"What is SIP ALG?\": 'incorrect port values greater than 65536'", Evidence.SEED),
            Source(
                "The same observation, earlier",
                Evidence.USER_REPORT,
                "http://www.voip-info.org/wiki/view/Routers+SIP+ALG",
            ),
        ),
    ),
    fault=OverflowPort(),
    variants=({"mode": "sum"}, {"mode": "wrap"}),
)
