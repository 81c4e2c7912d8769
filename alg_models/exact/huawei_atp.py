"""The proxy in routers that Huawei made for operators: a fork of siproxd that UDP is redirected to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.exact._osip import print_anew
from siplab.alg_models.steps.addresses import written
from siplab.alg_models.steps.descriptions import keep_lines, translated
from siplab.alg_models.steps.headers import HoldRegistration, TranslateRequestUri, TranslateUris
from siplab.alg_models.steps.media import DAY, CloseDialog, TranslateSdp, dialog_owner
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import cseq, split_list, uris
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sip import Field, SipMessage

_RECORDS: Final = 50  # Vias that it remembers
_MOST_VIAS: Final = 5  # of one message
_MEDIA_PORTS: Final = range(7070, 7080, 2)
_HOPS: Final = b"70"  # RFC 3261 section 8.1.1.6
_PHONES: Final = 4096  # entries; packets make them, so there must be a bound


@dataclass
class _Memory:
    """``phones``: those that have registered. ``vias``: the requests' Vias, by Call-ID and CSeq number."""

    phones: dict[Endpoint, None] = field(default_factory=dict)
    vias: dict[tuple[bytes, int], list[bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class Proxy:
    """Admit registered phones only, and put the proxy's Via in the place of the phone's."""

    def apply(self, message: SipMessage, context: Context) -> None:
        if not message.is_sip:
            context.drop("no message: the proxy passes nothing else on")
        memory = context.remember(self, _Memory)
        if context.outbound and message.is_request:
            self._admit(message, memory, context)
            self._count(message)
            self._purge_own_route(message, context)
            self._hide_vias(message, memory, context)
        elif not context.outbound and message.is_response:
            self._put_back(message, memory)

    def _admit(self, message: SipMessage, memory: _Memory, context: Context) -> None:
        if message.method == b"REGISTER":
            contact = message.get(b"contact")
            if contact is None or not uris(contact.value):
                context.drop("a REGISTER without a Contact that names a host")
            if len(memory.phones) >= _PHONES:
                del memory.phones[next(iter(memory.phones))]
            memory.phones[context.inside] = None
        elif context.inside not in memory.phones:
            context.drop("this phone has not registered")

    def _count(self, message: SipMessage) -> None:
        hops = message.get(b"max-forwards")
        if hops is None:
            message.fields.insert(0, Field.make(b"Max-Forwards", _HOPS))
        elif hops.value.isdigit():
            hops.value = b"%d" % max(int(hops.value[:9]) - 1, 0)

    def _purge_own_route(self, message: SipMessage, context: Context) -> None:
        own = context.outside.ip.encode()
        message.fields = [
            each
            for each in message.fields
            if each.name != b"record-route" or not any(place.host == own for place in uris(each.value))
        ]

    def _hide_vias(self, message: SipMessage, memory: _Memory, context: Context) -> None:
        """Replace all of the phone's Vias by one of the proxy's."""
        lines = [
            each.value[start:end].strip()
            for each in message.all(b"via")
            for start, end in split_list(each.value)
        ]
        key = _key(message)
        memory.vias.pop(key, None)
        if len(memory.vias) >= _RECORDS:
            del memory.vias[next(iter(memory.vias))]
        memory.vias[key] = lines[:_MOST_VIAS]
        seen = hashlib.sha256(lines[0] if lines else message.value(b"call-id")).hexdigest()[:12].encode()
        own = b"SIP/2.0/UDP " + written(context.outside) + b";branch=z9hG4bK" + seen
        others = [each for each in message.fields if each.name != b"via"]
        message.fields = [Field.make(b"Via", own), *others]

    def _put_back(self, message: SipMessage, memory: _Memory) -> None:
        """Put back the Vias of the request, else of the latest with its Call-ID, else the oldest record."""
        call, number = _key(message)
        lines = memory.vias.get((call, number))
        if lines is None:
            of_call = [vias for (known, _), vias in memory.vias.items() if known == call]
            lines = of_call[-1] if of_call else next(iter(memory.vias.values()), None)
        if lines is not None:
            others = [each for each in message.fields if each.name != b"via"]
            message.fields = [*(Field.make(b"Via", each) for each in lines), *others]


def _key(message: SipMessage) -> tuple[bytes, int]:
    found = cseq(message.value(b"cseq"))
    return message.value(b"call-id")[:-1], found[0] if found is not None else 0


@dataclass(frozen=True)
class _Ports(TranslateSdp):
    """Media pass through five pairs of ports, and no more."""

    def open_media(self, endpoint: Endpoint, owner: object, context: Context) -> Endpoint | None:
        for port in _MEDIA_PORTS:
            taken = context.nat.at_port(UDP, port, context.now)
            if taken is not None and taken.inside != endpoint:
                continue
            opened = context.open_port(endpoint, owner, DAY, first=port)
            if opened is not None and opened.port == port:
                beside = endpoint._replace(port=min(endpoint.port + 1, 65535))
                context.open_port(beside, owner, DAY, first=port + 1)
                return opened
        return None


@dataclass(frozen=True)
class RelayMedia:
    """Write the router's address into c= of a phone's descriptions, not into o=. BYE and CANCEL end media."""

    def apply(self, message: SipMessage, context: Context) -> None:
        if message.is_request and message.method in (b"BYE", b"CANCEL"):
            context.close_pinholes(dialog_owner(message))
        described = message.method == b"ACK" and message.is_request
        described |= message.method == b"INVITE" and (message.status or 0) < 300
        found = translated(message, context, _Ports()) if described and context.outbound else None
        if found is None:
            return
        before, after = found
        for old, new in zip(before.sections, after.sections, strict=True):
            keep_lines(old, new, b"o")
        message.body = bytes(after)


@dataclass(frozen=True)
class PrintAnew:
    """Print the message as libosip does."""

    def apply(self, message: SipMessage, context: Context) -> None:
        print_anew(message)


@dataclass(frozen=True)
class HuaweiProxy:
    """The proxy as the routers have it; only its port can be set."""

    def recipe(self) -> Recipe:
        base = (
            Proxy(),
            TranslateRequestUri(),
            TranslateUris(("contact",)),
            HoldRegistration(),
            RelayMedia(),
            CloseDialog(),
            PrintAnew(),
        )
        return Recipe(base=base, policy={"transports": frozenset({"udp"}), "non_sip": "inspect"})


_URL: Final = "https://github.com/Stricted/DT_Hybrid_GPL"

MODEL = Model(
    id="huawei-atp",
    card=Card(
        summary=(
            "A proxy in the router: its own Via in the place of the phone's, of which it remembers 50; "
            "phones have to register first, and five calls at once have media."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK",
            ),
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example("register", b"Max-Forwards: 70", b"Max-Forwards: 69"),
            # A phone that has not registered can't call.
            Example("invite", b"INVITE sip:bob@lab.test", None),
        ),
        rules=("RFC 3261 16.6", "RFC 3261 16.7", "RFC 3261 18.2.2", "RFC 3261 7.3.1"),
        symptom=(
            "Phones that register and are called notice little. Those that call without registering reach "
            "nobody; with more than five calls some are silent; SIP over TCP and keep-alives of CRLF do "
            "not go by the proxy. On a busy line an answer may get another call's Via, and is lost."
        ),
        sources=(
            Source(
                "Stricted/DT_Hybrid_GPL at b478c9bb, dl/siproxd-dt.tar.gz: src/*.c, proxy_response, algapi.h",
                Evidence.SOURCE_CODE,
                _URL,
            ),
            Source(
                "That further calls have no media and that an answer may get another dialog's Via; that "
                "what is no message ends at the proxy",
                Evidence.INFERENCE,
            ),
            Source(
                "Left open there: how many phones it knows and for how long, what becomes of Vias of "
                "requests coming in, its answers with 408, its check for loops, and what it writes for the "
                "phone's side of the relay: here descriptions coming in stay, and phones send to where "
                "they say",
                Evidence.INFERENCE,
            ),
        ),
        shows=(Showing("outgoing-call(account=false)", "rings"),),
    ),
    fault=HuaweiProxy(),
)
