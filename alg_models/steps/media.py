"""Steps that translate session descriptions and open pinholes for media."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.lab.gateway.alg import Context
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sdp import Sdp, SdpLine, Section, address_of, set_address
from siplab.lab.wire.sip import SipMessage

DAY: Final = 86400.0
_DIALOGS: Final = 4096
_ADDRESSED: Final = (b"c", b"o")


def dialog_owner(message: SipMessage) -> tuple[str, bytes]:
    """The owner of a message's media pinholes: its Call-ID."""
    return ("dialog", message.value(b"call-id"))


@dataclass(frozen=True)
class TranslateSdp:
    """Translate o=, c=, m=, a=rtcp and a=candidate, and open RTP and RTCP pinholes for the dialog.

    References: RFC 3264 section 5.1, RFC 8866 sections 5.2, 5.7 and 5.14, RFC 3605,
    RFC 8839. A port of 0 (a refused stream) and the address 0.0.0.0 (old-style hold) stay.
    ``lifetime``: seconds after which pinholes end if the ALG never sees the end of the dialog.
    """

    lifetime: float = DAY

    def apply(self, message: SipMessage, context: Context) -> None:
        body = message.body
        if not body or b"m=" not in body or b"v=0" not in body:
            return
        sdp = Sdp.parse(body)
        if context.outbound:
            self._outbound(sdp, message, context)
        elif context.nat.public_ip.encode() in body:
            self._inbound(sdp, context)
        else:
            return
        message.body = bytes(sdp)

    def _outbound(self, sdp: Sdp, message: SipMessage, context: Context) -> None:
        owner = dialog_owner(message)
        public = context.nat.public_ip.encode()
        has_rtcp, has_candidates = b"a=rtcp:" in message.body, b"a=candidate:" in message.body
        inside = {
            line: address
            for section in sdp.sections
            for line in section.lines
            if line.type in _ADDRESSED
            and context.is_inside(address := address_of(line).decode("latin-1"))
            and ":" not in address
        }
        refused: set[SdpLine] = set()
        for section in sdp.media:
            port = section.port
            connection = sdp.connection(section)
            if port and connection in inside:
                address = inside[connection]
                opened = self.open_media(Endpoint(address, port), owner, context)
                if opened is None:
                    # Keep the address: otherwise media would go to whoever has that public port.
                    refused.add(connection)
                    continue
                section.port = opened.port
                if has_rtcp:
                    for line in section.attributes(b"rtcp"):
                        self._rtcp(line, address, owner, context)
            if has_candidates:
                for line in section.attributes(b"candidate"):
                    self._candidate(line, owner, context)
        for line in inside:
            if line not in refused:
                set_address(line, public)

    def open_media(self, endpoint: Endpoint, owner: object, context: Context) -> Endpoint | None:
        """The public endpoint for an inside media endpoint, with a pinhole; some faults override this."""
        return context.open_media(endpoint, owner, self.lifetime)

    def _rtcp(self, line: SdpLine, address: str, owner: object, context: Context) -> None:
        words = _rtcp_words(line)
        if len(words) == 4:
            address = words[3].decode("latin-1")
        opened = self.open_media(Endpoint(address, _port(words[0])), owner, context)
        if opened is not None:
            _write_rtcp(line, words, opened)

    def _candidate(self, line: SdpLine, owner: object, context: Context) -> None:
        words = line.value.split(b" ")
        if len(words) < 8 or words[2].upper() != b"UDP":
            return
        places = [(4, 5)]
        if words[8::2][:2] == [b"raddr", b"rport"] and len(words) > 11:
            places.append((9, 11))  # the related address, which is on the inside, too (RFC 8839 5.1)
        for ip, port in places:
            inside = Endpoint(words[ip].decode("latin-1"), _port(words[port]))
            opened = self.open_media(inside, owner, context)
            if opened is not None:
                words[ip], words[port] = opened.ip.encode(), b"%d" % opened.port
                line.value = b" ".join(words)

    def _inbound(self, sdp: Sdp, context: Context) -> None:
        """Translate a description with this router's public address (a call between two inside phones)."""
        public = context.nat.public_ip.encode()
        # Look these up before any change: media sections may share the session's c= line.
        ours = [section for section in sdp.media if address_of(sdp.connection(section)) == public]
        homes: dict[int, bytes] = {}
        for at, section in enumerate(sdp.media):
            if section not in ours:
                continue
            rtp = _behind(section.port or 0, context)
            if rtp is not None:
                section.port = rtp.port
                homes[at] = rtp.ip.encode()
                for line in section.attributes(b"rtcp"):
                    words = _rtcp_words(line)
                    rtcp = _behind(_port(words[0]), context)
                    if rtcp is not None:
                        _write_rtcp(line, words, rtcp)
            for line in section.attributes(b"candidate"):
                words = line.value.split(b" ")
                found = (
                    _behind(_port(words[5]), context) if words[4:5] == [public] and len(words) > 7 else None
                )
                if found is not None and words[7] == b"host":
                    words[4], words[5] = found.ip.encode(), b"%d" % found.port
                    line.value = b" ".join(words)
        if any(section.port for section in ours) and not homes:
            return  # no inside host holds these ports, so their owner is unknown
        session = next(iter(homes.values()), context.inside.ip.encode())
        _restore(sdp.session, public, session)
        for at, section in enumerate(sdp.media):
            _restore(section, public, homes.get(at, session))


def _port(text: bytes) -> int:
    """A port as written; 0 if it is no number."""
    return int(text[:6]) if text.isdigit() else 0


def _behind(port: int, context: Context) -> Endpoint | None:
    """The inside media endpoint behind a public port."""
    binding = context.nat.at_port(UDP, port, context.now) if port else None
    return binding.inside if binding else None


def _rtcp_words(line: SdpLine) -> list[bytes]:
    """``a=rtcp:<port> [<nettype> <addrtype> <address>]`` (RFC 3605 2.1) as words."""
    return line.value[len(b"rtcp:") :].split(b" ")


def _write_rtcp(line: SdpLine, words: list[bytes], endpoint: Endpoint) -> None:
    words[0] = b"%d" % endpoint.port
    if len(words) == 4:
        words[3] = endpoint.ip.encode()
    line.value = b"rtcp:" + b" ".join(words)


def _restore(section: Section, public: bytes, private: bytes) -> None:
    for line in section.lines:
        if line.type in _ADDRESSED and address_of(line) == public:
            set_address(line, private)


@dataclass(frozen=True)
class CloseDialog:
    """End a dialog's pinholes on a final answer to BYE, or a refused first INVITE (RFC 3261 15, 13.2.2.3)."""

    def apply(self, message: SipMessage, context: Context) -> None:
        status = message.status
        if status is None or status < 200:
            return
        method = message.method
        if method not in (b"BYE", b"INVITE"):
            return
        owner = dialog_owner(message)
        established: dict[bytes, None] = context.remember(self, dict)
        call_id = owner[1]
        if method == b"INVITE" and status < 300:
            if len(established) >= _DIALOGS:
                del established[next(iter(established))]
            established[call_id] = None
            return
        # A challenged BYE will be sent again, and a refused re-INVITE leaves the session as it was.
        if (method == b"BYE" and status not in (401, 407)) or (
            method == b"INVITE" and call_id not in established
        ):
            established.pop(call_id, None)
            context.close_pinholes(owner)
