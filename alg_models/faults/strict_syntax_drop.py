"""The ALG has limits that SIP does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from annotated_types import Ge

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.headers import tag_of
from siplab.lab.wire.sip import SipMessage

_COPIED: Final = frozenset({b"via", b"from", b"to", b"call-id", b"cseq"})  # RFC 3261 section 8.2.6.2


@dataclass(frozen=True)
class DropLongMessages:
    """Drop messages whose Request-URI or header line is longer than these limits, in bytes.

    ``answer``: the router answers such requests itself with 413 Request Entity Too Large, or not at all.
    """

    longest_uri: Annotated[int, Ge(1)] = 255
    longest_line: Annotated[int, Ge(78)] = 998
    answer: bool = False

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if len(message.request_uri) > self.longest_uri:
            self._refuse(message, context, "the Request-URI is too long")
        for field in message.fields:
            if len(field.raw) > self.longest_line and any(
                len(line) > self.longest_line for line in field.raw.splitlines()
            ):
                self._refuse(message, context, "a header line is too long")

    def _refuse(self, message: SipMessage, context: Context, reason: str) -> None:
        if self.answer and message.is_request and message.method != b"ACK":
            context.answer(_too_large(message))
        context.drop(reason)


def _too_large(request: SipMessage) -> bytes:
    rows = [b"SIP/2.0 413 Request Entity Too Large\r\n"]
    for field in request.fields:
        if field.name in _COPIED:
            raw = field.raw
            if field.name == b"to" and not tag_of(field.value):
                raw = raw.rstrip(b"\r\n") + b";tag=413\r\n"
            rows.append(raw)
    return b"".join((*rows, b"Content-Length: 0\r\n\r\n"))


MODEL = Model(
    id="strict-syntax-drop",
    card=Card(
        fault_class="policy",
        summary="Translates correctly, but drops messages with a long Request-URI or header line.",
        examples=(
            Example("transport-long-uri", b"INVITE sip:bob@lab.test;session=0123456789abcdef", None),
            Example("transport-long-line", b"X-Codecs: xxxxxxxx", None),
            Example("invite", b"m=audio 49170 RTP/AVP 0", b"m=audio 61004 RTP/AVP 0"),
        ),
        rules=("RFC 3261 7.3.1", "RFC 3261 25.1"),
        symptom=(
            "Calls through some servers fail without an answer: those whose Contact carries a long token, "
            "or whose messages carry long lists, tokens or certificates."
        ),
        sources=(
            Source(
                "Cisco ASA configuration guide: a Request-URI of more than 255 characters is not supported",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source(
                "FortiOS 5.2 CLI reference: lines longer than max-line-length (998) are blocked, answer 413",
                Evidence.VENDOR_DOCUMENTATION,
                "https://help.fortinet.com/fgt/handbook/cli52_html/FortiOS%205.2%20CLI/config_voip.25.3.html",
            ),
            Source(
                "WatchGuard: the SIP-ALG denies extremely long headers",
                Evidence.VENDOR_DOCUMENTATION,
                "https://www.watchguard.com/help/docs/help-center/en-US/Content/en-US/Fireware/proxies/sip/"
                "sip_proxy_general_c.html",
            ),
        ),
    ),
    fault=DropLongMessages(),
    variants=({"answer": True},),
)
