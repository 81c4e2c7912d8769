"""The table of headers in Juniper's and Fortinet's documentation, as steps.

For each kind of message, the table says which header fields change, and how. ``TO_ALG`` replaces a local
address by the public one, ``TO_LOCAL`` the reverse. ``DOMAIN_TO_LOCAL`` replaces any host by the callee's
local address.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, auto
from typing import Final

from siplab.alg_models.steps.addresses import translate
from siplab.alg_models.steps.headers import HoldRegistration, TranslateRequestUri, TranslateUris, TranslateVia
from siplab.lab.gateway.alg import Context
from siplab.lab.wire.headers import uris
from siplab.lab.wire.sip import Field, SipMessage

_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound


class Change(StrEnum):
    """What the ALG does to a header's address."""

    TO_ALG = "to-alg"
    TO_LOCAL = "to-local"
    DOMAIN_TO_LOCAL = "domain-to-local"


class Kind(Enum):
    """The four kinds of message in the table; "out" is from private to public."""

    REQUEST_OUT = auto()
    RESPONSE_IN = auto()
    REQUEST_IN = auto()
    RESPONSE_OUT = auto()


Row = tuple[tuple[str, Change], ...]

PRINTED: Final[dict[Kind, Row]] = {
    Kind.REQUEST_OUT: (
        ("from", Change.TO_ALG),
        ("call-id", Change.TO_ALG),
        ("via", Change.TO_ALG),
        ("contact", Change.TO_ALG),
        ("record-route", Change.TO_ALG),
    ),
    Kind.RESPONSE_IN: (("from", Change.TO_LOCAL), ("call-id", Change.TO_LOCAL)),
    Kind.REQUEST_IN: (("request-uri", Change.TO_LOCAL), ("to", Change.DOMAIN_TO_LOCAL)),
    Kind.RESPONSE_OUT: (
        ("to", Change.TO_LOCAL),
        ("contact", Change.TO_ALG),
        ("record-route", Change.TO_ALG),
    ),
}
# For responses coming in. The published excerpts of the table end before these rows.
CUT: Final[Row] = (("via", Change.TO_LOCAL), ("record-route", Change.TO_LOCAL), ("route", Change.TO_LOCAL))
_CONTACT_BACK: Final[Row] = (("contact", Change.TO_LOCAL),)

_KINDS: Final = {
    (True, False): Kind.REQUEST_OUT,
    (False, True): Kind.RESPONSE_IN,
    (False, False): Kind.REQUEST_IN,
    (True, True): Kind.RESPONSE_OUT,
}
_URIS: Final = {name: TranslateUris((name,)) for name in ("contact", "record-route", "route")}
_IDENTITIES: Final = {"from": b"from", "to": b"to"}


@dataclass
class _Memory:
    """The table of calls.

    ``hosts``: by the Call-ID on the public side, the host in the Call-ID that the phone wrote.
    ``domains``: by Call-ID, the host in To before the ALG put the local address there.
    """

    hosts: dict[bytes, bytes] = field(default_factory=dict)
    domains: dict[bytes, bytes] = field(default_factory=dict)


class _Shared:
    """The memory key that both directions share."""


_MEMORY: Final = _Shared()


@dataclass(frozen=True)
class TranslateHeaders:
    """The table's rows of one direction. A step between the two directions sees messages as the inside does.

    ``route``: the change of Route in requests going out. ``cut_cells``, ``contact_back``: in responses coming
    in, translate the headers that the excerpts lack. ``hide_call_id``: change Call-ID. ``call_table``: in a
    known call, also restore and hide it in the far side's requests and their responses. ``restore_to``: put
    the domain back into To of responses. ``adds_port``: a Contact without a port gets one.
    """

    outbound: bool
    route: Change
    cut_cells: bool = True
    contact_back: bool = False
    hide_call_id: bool = True
    call_table: bool = True
    restore_to: bool = False
    adds_port: bool = True

    def __post_init__(self) -> None:
        more: dict[Kind, Row] = {
            Kind.REQUEST_OUT: (("route", self.route),),
            Kind.RESPONSE_IN: CUT * self.cut_cells + _CONTACT_BACK * self.contact_back,
        }
        changes = {kind: row + more.get(kind, ()) for kind, row in PRINTED.items()}
        object.__setattr__(self, "_changes", changes)

    _changes: dict[Kind, Row] = field(init=False, compare=False, repr=False, default_factory=dict)

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound != self.outbound:
            return
        memory = context.remember(_MEMORY, _Memory)
        kind = _KINDS[context.outbound, message.is_response]
        if not self.outbound:
            self._call_id(message, kind, memory, context)
        for name, change in self._changes[kind]:
            if name in _IDENTITIES:
                self._identity(message, _IDENTITIES[name], change, memory, context)
            elif name == "via":
                _VIA.apply(message, context)
            elif name == "request-uri":
                _REQUEST_URI.apply(message, context)
            elif name in _URIS:
                facing = _facing(context, change)
                if name == "contact" and not self.adds_port:
                    _exchange_portless(message, facing)
                _URIS[name].apply(message, facing)
        if self.outbound:
            self._call_id(message, kind, memory, context)

    def _identity(
        self, message: SipMessage, name: bytes, change: Change, memory: _Memory, context: Context
    ) -> None:
        """Change a From or To. A URI without a port is a name: its address changes, and it gets no port."""
        found = message.get(name)
        if found is None:
            return
        if name == b"to" and context.outbound and self.restore_to:
            self._restore_domain(found, message, memory)
            return
        public = context.nat.public_ip
        for place in uris(found.value)[:1]:
            host = place.host.decode("latin-1")
            text: bytes | None = None
            if change is Change.DOMAIN_TO_LOCAL:
                text = context.inside.ip.encode()
                _keep(memory.domains, message.value(b"call-id"), found.value[place.start : place.end])
            elif place.port is not None:
                text = translate(place, _facing(context, change), "identity")
            elif change is Change.TO_ALG and context.is_inside(host):
                text = public.encode()
            elif change is Change.TO_LOCAL and host == public:
                text = context.inside.ip.encode()
            if text is not None:
                found.replace(place.start, place.end, text)

    def _restore_domain(self, found: Field, message: SipMessage, memory: _Memory) -> None:
        domain = memory.domains.get(message.value(b"call-id"))
        for place in uris(found.value)[:1]:
            if domain is not None:
                found.replace(place.start, place.end, domain)

    def _call_id(self, message: SipMessage, kind: Kind, memory: _Memory, context: Context) -> None:
        """Change the host of a Call-ID: the part after its @."""
        in_dialog = kind in (Kind.REQUEST_IN, Kind.RESPONSE_OUT)
        found = message.get(b"call-id")
        if found is None or not self.hide_call_id or (in_dialog and not self.call_table):
            return
        word, at, host = found.value.rpartition(b"@")
        public = context.nat.public_ip.encode()
        if self.outbound:
            hidden = word + at + public
            if not at or not context.is_inside(host.decode("latin-1")):
                return
            if in_dialog and hidden not in memory.hosts:
                return
            _keep(memory.hosts, hidden, host)
            found.value = hidden
        elif at and host == public:
            known = memory.hosts.get(found.value)
            if known is None and in_dialog:
                return
            found.value = word + at + (known or context.inside.ip.encode())


_VIA: Final = TranslateVia()
_REQUEST_URI: Final = TranslateRequestUri()


def _facing(context: Context, change: Change) -> Context:
    """A context in which the translating steps make this change, whatever the message's direction."""
    outbound = change is Change.TO_ALG
    return context if context.outbound == outbound else replace(context, outbound=outbound)


def _exchange_portless(message: SipMessage, context: Context) -> None:
    """In Contacts without a port, replace the address alone."""
    own, public = context.inside.ip.encode(), context.nat.public_ip.encode()
    old, new = (own, public) if context.outbound else (public, own)
    for each in message.all(b"contact"):
        for place in reversed(uris(each.value)):
            if place.port is None and place.host == old:
                each.replace(place.start, place.end, new)


def _keep(memory: dict[bytes, bytes], key: bytes, value: bytes) -> None:
    if len(memory) >= _LIMIT and key not in memory:
        del memory[next(iter(memory))]
    memory[key] = value


@dataclass(frozen=True)
class HoldRegistered:
    """Keep the pinhole of registered contacts open, even if the response keeps the public Contact.

    ``adds_port``: as in ``TranslateHeaders``.
    """

    adds_port: bool = True

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.outbound or message.status is None or message.method != b"REGISTER":
            return
        inner = SipMessage.parse(bytes(message))
        if not self.adds_port:
            _exchange_portless(inner, context)
        _URIS["contact"].apply(inner, context)
        _HOLD.apply(inner, context)


_HOLD: Final = HoldRegistration()
