"""The ALG of Broadcom's BCM963xx software, as its source has it.

It reads a datagram as text. Wherever a field's name and colon stand, it finds that field, even in another
header's name, in a quoted string or in the body. It compares addresses only with those of the packet's own
flow, not with other inside hosts. It remembers no calls: pinholes belong to the signalling flow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Final

from annotated_types import Ge, Gt, Le

from siplab.alg_models.exact._broadcom_generations import GENERATIONS, Generation, Name
from siplab.alg_models.exact._broadcom_pinholes import FIRST_PORT, Pinholes
from siplab.alg_models.exact._text import Place, find, host_and_port, literal, mark, number
from siplab.lab.gateway.alg import Context, Recipe
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_VIA: Final = mark(rb"Via:|\r\nv:", rb"(?i:udp )")
_CONTACT: Final = mark(rb"Contact:|\r\nm:", rb"(?i:sip:)")
_LENGTH: Final = mark(rb"Content-Length:|\r\nl:")
_ORIGIN: Final = mark(rb"[\r\n]o=", rb"IN IP4 ")
_CONNECTION: Final = mark(rb"[\r\n]c=", rb"IN IP4 ")
_AUDIO: Final = mark(rb"[\r\n]m=audio ")
_VIDEO: Final = mark(rb"[\r\n]m=video ")
_ALTERNATIVE: Final = mark(rb"[\r\n]a=", rb"alt:")
_RTCP: Final = mark(rb"[\r\n]a=rtcp:", rb" IN IP4 ")
_FIVE_WORDS: Final = re.compile(rb"(?:[^ \r\n]* ){5}")
_BLANK: Final = mark(rb"\r\n\r\n|\r\r|\n\n")

_SPARED: Final = (b"SIP/2.0 200", b"SIP/2.0 100", b"SIP/2.0 180", b"SIP/2.0 183")
_DESCRIBING: Final = (b"INVITE", b"UPDATE", b"SIP/2.0 180", b"SIP/2.0 183", b"SIP/2.0 200")
_ENDING: Final = (b"BYE", b"SIP/2.0 400")
_SHORTEST: Final = 11  # bytes; shorter payloads are not inspected
_RESPONSE: Final = b"SIP/2.0 "
_RPORT: Final = re.compile(rb"rport=")
_SPARED_PHONE: Final = b"User-Agent: Jitsi"
_FLOWS: Final = 4096  # entries; messages make them, so there must be a bound

Flow = tuple[Endpoint, Endpoint]


@dataclass
class _Flow:
    """A signalling flow: the inside media endpoints that it opened pinholes to, and facts about its phone.

    ``knows_public``: the phone itself writes the public address. ``spared``: the ALG no longer changes the
    phone's headers.
    """

    media: dict[Endpoint, None] = field(default_factory=dict)
    knows_public: bool = False
    spared: bool = False


@dataclass
class _Memory:
    """The signalling flows."""

    flows: dict[Flow, _Flow] = field(default_factory=dict)


@dataclass(frozen=True)
class Broadcom:
    """The whole ALG.

    ``server_port``: the module's list of ports, here a single port. ``sip_timeout``: idle time in seconds
    of signalling flows. ``spare_via``: leave Via of responses 100, 180, 183 and 200 alone, as a later
    change to the source does (generation b3 only). ``generation``: of kernel 2.6.30 (b1), 3.4.11 (b2),
    4.16L05 (b3), or Sercomm's. ``register_pinhole``: a flow that carried a REGISTER admits the registrar's
    address from any port, as in Realtek's kernel for the RTL8676.

    Two differences from the kernel: there, the first packet through a pinhole makes it a connection of that
    sender alone, and an unused media pinhole ends after 180 s. Here a pinhole admits everybody to its end.
    """

    server_port: Annotated[int, Ge(1), Le(65535)] = 5060
    sip_timeout: Annotated[float, Gt(0)] = 3600.0
    spare_via: bool = True
    generation: Name = "b3"
    register_pinhole: bool = False

    @property
    def _is(self) -> Generation:
        return GENERATIONS[self.generation]

    def recipe(self) -> Recipe:
        return Recipe(
            base=(self,),
            policy={
                "ports": frozenset({self.server_port}),
                "transports": frozenset({"udp"}),
                "signalling_timeout": self.sip_timeout,
                "fragments": "reassemble" if self._is.reassembles else "unprocessed",
            },
        )

    def apply(self, message: SipMessage, context: Context) -> None:
        before = text = bytes(message)
        if len(text) < _SHORTEST or context.binding is None:  # IPv6 is not translated
            return
        flow = self._flow(context)
        holes = Pinholes(context, flow.media, self.sip_timeout)
        holes.prolong()
        holes.divert()
        if self.register_pinhole:
            holes.admit_registrar(register=context.outbound and text.startswith(b"REGISTER"))
        flow.spared = flow.spared or (self._is.knows_stun and _SPARED_PHONE in text)
        if not flow.spared:
            text = self._via(text, flow, holes, context)
            text = self._contacts(text, flow, holes, context)
        if text.startswith(_ENDING):
            holes.end(self._is.ending)
        elif text.startswith(_DESCRIBING):
            text = self._description(text, holes, context)
            text = _fit_length(text, context)
        if text != before:
            _rewrite(message, text)

    # -- header fields ----------------------------------------------------------------------------------

    def _via(self, text: bytes, flow: _Flow, holes: Pinholes, context: Context) -> bytes:
        """Translate the first Via that names the sender, or, coming in, the flow's public endpoint."""
        inside, outside = context.inside, context.outside
        spared = self.spare_via and self._is.spares_via and text.startswith(_SPARED)
        at = 0
        while (at := find(_VIA, text, at)) >= 0:
            place = host_and_port(text, at)
            if place is None:
                continue
            if self._is.knows_stun and place.ip == outside.ip:
                found = self._public_via(text, place, flow, context)
                if found is not None:
                    return found
            if self._is.via_needs_port and not place.port:
                at = place.end
                continue
            if context.outbound and place.ip == inside.ip and place.port not in (0, inside.port):
                if self._is.via_own_pinhole:
                    return _put(text, place, holes.expect(Endpoint(place.ip, place.port)))
                holes.expect_at_own_port()
                return _put(text, place, outside)
            if context.outbound and place.ip in (inside.ip, outside.ip):
                return text if spared else _put(text, place, outside)
            if not context.outbound and (place.ip, place.port) == outside:
                return text if spared else _put(text, place, inside)
            other_port = place.port not in (0, context.remote.port)
            if not context.outbound and place.ip == context.remote.ip and other_port:
                return text  # the source opens a pinhole to the sender itself here, which changes nothing
            at = place.end
        return text

    def _public_via(self, text: bytes, place: Place, flow: _Flow, context: Context) -> bytes | None:
        """What Sercomm's ALG does to a Via with the public address; ``None``: the phone did not write it."""
        inside, outside = context.inside, context.outside
        if context.outbound:
            flow.knows_public = True
            return _put(text, place, outside) if place.port == inside.port else text
        if not flow.knows_public:
            return None
        if place.port == outside.port:
            return _put(text, place, Endpoint(outside.ip, inside.port))
        found = _RPORT.search(text) if text.startswith(_RESPONSE) else None
        return (
            text if found is None else text[: found.end()] + b"%d" % place.port + _behind(text, found.end())
        )

    def _contacts(self, text: bytes, flow: _Flow, holes: Pinholes, context: Context) -> bytes:
        """Translate the first Contact going out; with ``all_contacts`` every Contact, in both directions."""
        if not context.outbound and not self._is.all_contacts:
            return text
        at = find(_CONTACT, text)
        while at >= 0:
            place = host_and_port(text, at)
            if place is None:
                if self._is.named_contact == "drop":
                    context.drop("a Contact without an address literal")
                return text
            new = self._contact(place, flow, holes, context)
            at = place.end
            if new is not None:
                text, at = _put(text, place, new), place.start + len(str(new))
            if not self._is.all_contacts:
                return text
            at = find(_CONTACT, text, at)
        return text

    def _contact(self, place: Place, flow: _Flow, holes: Pinholes, context: Context) -> Endpoint | None:
        """The endpoint to write into a Contact; ``None``: the Contact stays as it is."""
        inside, outside = context.inside, context.outside
        if not context.outbound:
            if (place.ip, place.port) != outside:
                return None
            return Endpoint(outside.ip, inside.port) if flow.knows_public else inside
        if place.ip == outside.ip and self._is.knows_stun:
            flow.knows_public = True
            return outside if place.port == inside.port else None
        if place.ip == outside.ip or (place.ip, place.port) == inside:
            return outside
        if place.ip == inside.ip and place.port:
            return holes.expect(Endpoint(place.ip, place.port))
        return None

    # -- the session description ------------------------------------------------------------------------

    def _description(self, text: bytes, holes: Pinholes, context: Context) -> bytes:
        """Translate o=, c=, the first m=audio and m=video, a=alt and a=rtcp.

        The ports of m= are taken to belong to the last address that was read.
        """
        address = ""
        if context.outbound:
            at = find(_ORIGIN, text)
            place = literal(text, at) if at >= 0 else None
            if place is not None:
                address = _inner(place, context)
                text, _ = _exchange(text, place, context)
            elif at >= 0 and self._is.named_origin == "drop":
                context.drop("an o= line without an address literal")
            at = 0
            while (at := find(_CONNECTION, text, at)) >= 0:
                place = literal(text, at)
                if place is None:
                    context.drop("a c= line without an address literal")
                    return text
                address = _inner(place, context)
                text, at = _exchange(text, place, context)
                if not self._is.all_connections:
                    break
        for sign in (_AUDIO, _VIDEO):
            at = find(sign, text)
            if at >= 0:
                text, _ = self._port(text, at, address, holes, context)
        text = self._alternatives(text, holes, context)
        at = 0 if context.outbound and self._is.rtcp_address else len(text)
        while (at := find(_RTCP, text, at)) >= 0:
            place = literal(text, at)
            if place is not None:
                text, at = _exchange(text, place, context)
        return text

    def _alternatives(self, text: bytes, holes: Pinholes, context: Context) -> bytes:
        """Translate addresses and ports of a=alt lines, up to the first attribute with another name."""
        sender = context.inside.ip if context.outbound else context.remote.ip
        at = 0
        while (at := find(_ALTERNATIVE, text, at)) >= 0:
            words = _FIVE_WORDS.match(text, at)  # the address is the sixth
            place = literal(text, words.end()) if words else None
            if place is not None and place.ip == sender:
                at = place.end
                if context.outbound:
                    text, at = _exchange(text, place, context)
                text, at = self._port(text, at + 1, place.ip, holes, context)
        return text

    def _port(
        self, text: bytes, at: int, address: str, holes: Pinholes, context: Context
    ) -> tuple[bytes, int]:
        """Replace a media port by a public one; returns the text and the offset behind the new port."""
        port = number(text, at)
        if port is None:
            context.drop("a media line without a port")
            return text, at
        if not context.outbound:
            return text, port.end
        inside = Endpoint(address, port.value & 0xFFFF)
        first = max(inside.port & ~1, FIRST_PORT)
        outside = holes.open_media(inside, first)
        if outside is not None:
            public = outside.port
        else:
            if inside.port and context.is_inside(address):
                context.drop("out of RTP ports")
            # In the kernel, packets to this port would go to port 0, or to an address that is not inside.
            public = first
        made = b"%d" % public
        return text[: port.start] + made + text[port.end :], port.start + len(made)

    # -- flows ----------------------------------------------------------------------------------------------

    def _flow(self, context: Context) -> _Flow:
        """This signalling flow."""
        flows = context.remember(self, _Memory).flows
        flow = (context.inside, context.remote)
        found = flows.get(flow)
        if found is None:
            if len(flows) >= _FLOWS:
                del flows[next(iter(flows))]
            found = flows[flow] = _Flow()
        return found


def _behind(text: bytes, at: int) -> bytes:
    """What follows the digits at ``at``."""
    return text[at:].lstrip(b"0123456789")


def _put(text: bytes, place: Place, endpoint: Endpoint) -> bytes:
    return text[: place.start] + str(endpoint).encode() + text[place.end :]


def _inner(place: Place, context: Context) -> str:
    """The address that media go to. A phone that wrote the public address means its own."""
    return context.inside.ip if place.ip == context.outside.ip else place.ip


def _exchange(text: bytes, place: Place, context: Context) -> tuple[bytes, int]:
    """Replace the sender's address by the public one; returns the text and the offset behind the address."""
    if place.ip != context.inside.ip:
        return text, place.end
    public = context.outside.ip.encode()
    return text[: place.start] + public + text[place.end :], place.start + len(public)


def _fit_length(text: bytes, context: Context) -> bytes:
    """Set the first Content-Length to the bytes after the blank line, even if the value was wrong before."""
    at = find(_LENGTH, text)
    if at < 0:
        return text
    length = number(text, at)
    if length is None:
        context.drop("a Content-Length without a number")
        return text
    body = find(_BLANK, text, length.start)
    size = len(text) - body if body >= 0 else 0
    if size == length.value:
        return text
    if size == 0:
        context.drop("a Content-Length, but no body")  # it can't write a 0
    return text[: length.start] + b"%d" % size + text[length.end :]


def _rewrite(message: SipMessage, text: bytes) -> None:
    """Replace the contents of ``message`` by ``text``."""
    fresh = SipMessage.parse(text)
    message.prefix, message.start_line, message.fields = fresh.prefix, fresh.start_line, fresh.fields
    message.separator, message.body = fresh.separator, fresh.body
