"""The kernel's first ALG, before it was rewritten: Linux 2.6.18 to 2.6.25."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.exact import _early
from siplab.alg_models.exact._early import Address, address, put
from siplab.alg_models.exact._linux.kernel import Version, numbers
from siplab.alg_models.exact._text import find, mark
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_FROM: Final = mark(rb"From:|\r\nf:", rb"(?i:sip:)")
_TO: Final = mark(rb"To:|\r\nt:", rb"(?i:sip:)")
_USER: Final = re.compile(rb"[^@\r\n]*@")
_REQUEST_LINE: Final = re.compile(rb"(?:REGISTER [^\r\n]*?(?i:sip:)|[A-Za-z]+ [^\r\n@]*@)")
_DESCRIBING: Final = (b"INVITE", b"UPDATE", b"SIP/2.0 180", b"SIP/2.0 183", b"SIP/2.0 200")
_SHORTEST: Final = 7  # bytes: shorter payloads are not messages
_MOST: Final = 2  # expectations of a flow
_FIRST, _FIXED, _LAST = (2, 6, 18), (2, 6, 24), (2, 6, 25)


@dataclass(frozen=True)
class FirstLinuxSip:
    """The whole ALG. ``kernel``: 2.6.18 to 2.6.25; 2.6.24 repaired it."""

    kernel: Version = "2.6.22"

    @property
    def repaired(self) -> bool:
        return numbers(self.kernel) >= _FIXED

    def recipe(self) -> Recipe:
        """Raises ``UsageError`` for another kernel."""
        try:
            known = _FIRST <= numbers(self.kernel)[:3] <= _LAST
        except ValueError:
            known = False
        if not known:
            raise UsageError(
                f"model 'linux-gen1', parameter 'kernel': '{self.kernel}' is not one of 2.6.18 to 2.6.25"
            )
        return Recipe(base=(self,), policy=_early.POLICY)

    def apply(self, message: SipMessage, context: Context) -> None:
        text = bytes(message)
        if context.binding is None:  # IPv6 is tracked, not translated
            return
        if len(text) < _SHORTEST:
            if text and not self.repaired:
                context.drop("too short to be a message")
            return
        _early.become(message, self._description(self._headers(text, context), context))

    # -- header fields ----------------------------------------------------------------------------------

    def _headers(self, text: bytes, context: Context) -> bytes:
        """Translate Request-URI, and the first From, To, Via and Contact."""
        line = None if text.upper().startswith(b"SIP/2.0") else _REQUEST_LINE.match(text)
        if line is not None:
            text = _mapped(text, address(text, line.end()), context)
        for sign in (_FROM, _TO, _early.VIA, _early.CONTACT):
            at = find(sign, text)
            if at < 0:
                continue
            if sign is not _early.VIA:
                user = _USER.match(text, at)
                if user is None and not self.repaired:
                    continue  # the unrepaired ALG looks for the address at a wrong place
                at = user.end() if user else at
            text = _mapped(text, address(text, at), context)
        return text

    # -- the session description ------------------------------------------------------------------------

    def _description(self, text: bytes, context: Context) -> bytes:
        """Translate the first c= and m=audio, whichever host they name."""
        start = text[:16].upper() if self.repaired else text
        if not start.startswith(_DESCRIBING):
            return text
        at = find(_early.CONNECTION, text)
        place = address(text, at) if at >= 0 else None
        port = _early.media_port(text, context) if place is not None else None
        if place is None or port is None:
            return text
        ip = place.ip
        if context.outbound:
            flow = context.remember("linux-gen1", _early.Flows).of(context)
            ip, port = context.outside.ip, _early.expect(flow, Endpoint(ip, port), _MOST, context)
        elif not self.repaired:
            ip = context.remote.ip
        return _early.write_description(text, ip, port, context)


def _mapped(text: bytes, place: Address | None, context: Context) -> bytes:
    """If the address is, as text, one end of the packet, write the translated address and port."""
    if place is None:
        return text
    if context.outbound:
        ends = ((context.inside, context.outside), (context.remote, context.remote))
    else:
        ends = ((context.remote, context.remote), (context.outside, context.inside))
    for old, new in ends:
        if place.written in (old.ip.encode(), str(old).encode()):
            return put(text, place, str(new).encode())
    return text


MODEL = Model(
    id="linux-gen1",
    card=Card(
        summary=(
            "The Linux kernel's ALG of 2.6.18 to 2.6.25: compares addresses as text, and has no way in for "
            "calls and no place for RTCP."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # An address without a port matches any port.
            Example(
                "headers-contact-portless",
                b"Contact: <sip:alice@192.168.1.20>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # The ALG does not read the parameters of a Via.
            Example("register-ok", b";rport=61002;", b";rport=61002;"),
            Example("media-odd", b"m=audio 49171 RTP/AVP 0", b"m=audio 49171 RTP/AVP 0"),
            # In an answer from outside, the media address becomes that of the signalling server.
            Example("media-relays", b"c=IN IP4 198.51.100.20", b"c=IN IP4 198.51.100.10"),
            Example("media-refused", b"INVITE sip:bob@lab.test", None),
            Example("media-no-length", b"INVITE sip:bob@lab.test", None),
        ),
        rules=("RFC 3261 18.1.2", "RFC 3264 5.1", "RFC 3264 6", "RFC 3261 20.14", "RFC 3550 11"),
        symptom=(
            "Calls come in only while the phone's own flow is alive, and from the registrar's port alone. "
            "Media of a provider that has it on another host is lost; a refused stream makes the message "
            "vanish."
        ),
        sources=(
            Source(
                "belkin_f6d6230_v1000 nf_conntrack_sip.c and nf_nat_sip.c of 2.6.22 at b34af2d9",
                Evidence.SOURCE_CODE,
                "https://github.com/OEM-GPL-Releases/belkin_f6d6230_v1000",
            ),
            Source(
                "belkin_f5l049_v1000, the same files of 2.6.25 at 32c0f6f7: what was repaired in 2.6.24",
                Evidence.SOURCE_CODE,
                "https://github.com/OEM-GPL-Releases/belkin_f5l049_v1000",
            ),
            Source(
                "That a description is left alone where it has no c= with an address or no m=audio; that "
                "nothing comes back to a foreign media address",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=FirstLinuxSip(),
    variants=({"kernel": "2.6.24"},),
)
