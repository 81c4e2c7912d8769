"""The ALG of AT&T's and Brocade's vRouter (DANOS), which reads every message and prints it anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.exact._danos_headers import translate
from siplab.alg_models.exact._danos_media import Offers, describe
from siplab.alg_models.exact._osip import print_anew
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.gateway.binding import Pinhole
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sip import SipMessage

_SHORTEST: Final = 200  # bytes: shorter messages are dropped
_NEEDED: Final = (b"to", b"from", b"cseq", b"call-id", b"via")
_ENDS: Final = (b"BYE", b"CANCEL")
_FLOWS: Final = 4096  # entries; packets make them, so there must be a bound


@dataclass
class _Flows:
    """Which flows began inside; for each outside host ``reached`` from there, the pinhole for its other
    ports; and the ``alternative`` flows that began through such a pinhole.
    """

    began_inside: dict[tuple[Endpoint, Endpoint], bool] = field(default_factory=dict)
    reached: dict[tuple[Endpoint, str], Pinhole | None] = field(default_factory=dict)
    alternative: dict[tuple[Endpoint, Endpoint], None] = field(default_factory=dict)
    offers: Offers = field(default_factory=Offers)

    def source_nat(self, context: Context) -> bool:
        key = (context.inside, context.remote)
        if key not in self.began_inside:
            if len(self.began_inside) >= _FLOWS:
                oldest = next(iter(self.began_inside))
                del self.began_inside[oldest]
                self.alternative.pop(oldest, None)
            if len(self.reached) >= _FLOWS:
                del self.reached[next(iter(self.reached))]
            host = (context.inside, context.remote.ip)
            if context.outbound:
                self.reached.setdefault(host, None)
            elif host in self.reached:
                self.alternative[key] = None
            self.began_inside[key] = host in self.reached
        return self.began_inside[key]


@dataclass(frozen=True)
class Danos:
    """The ALG as its source has it; only its ports can be set."""

    def recipe(self) -> Recipe:
        return Recipe(base=(self,), policy={"non_sip": "inspect", "tcp": "payload", "follow_pinholes": True})

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.binding is None:  # IPv6 has no NAT: the ALG only inspects it
            return
        if len(bytes(message)) < _SHORTEST:
            context.drop("too short to be a message")
        if not message.is_sip:
            context.drop("no message that can be read")
        missing = next((each for each in _NEEDED if message.get(each) is None), None)
        if missing is not None:
            context.drop(f"no {missing.decode()}")
        flows = context.remember(self, _Flows)
        source_nat = flows.source_nat(context)
        if message.is_request and message.method not in _ENDS:
            if (context.inside, context.remote) in flows.alternative:
                context.drop("a request by a flow that is for answers")
            if source_nat and context.outbound and context.protocol == UDP:
                self._let_others_answer(flows, context)
        describe(message, context, flows.offers, source_nat=source_nat)
        translate(message, context, source_nat=source_nat)
        print_anew(message)

    def _let_others_answer(self, flows: _Flows, context: Context) -> None:
        """Admit the server's packets from any port, as long as the flow lives."""
        assert context.binding is not None
        lifetime = context.nat.timeout_of(context.binding, context.now)
        host = (context.inside, context.remote.ip)
        known = flows.reached.get(host)
        if known is not None and known.binding is context.binding and known.expires > context.now:
            known.expires = context.now + lifetime
        else:
            flows.reached[host] = context.expect(
                *(context.inside, context.outside.port, context.remote.ip, lifetime),
                once=False,
                inspected=True,
            )


_URL: Final = "https://github.com/danos/vyatta-dataplane"

MODEL = Model(
    id="danos",
    card=Card(
        summary=(
            "The vRouter's ALG: messages are read and printed anew, media has to come from the very "
            "endpoint that was announced, and what it can't read is dropped: keep-alives, late offers, "
            "refused streams."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example("register", b"Call-ID: a84b4c76@192.168.1.20", b"Call-ID: a84b4c76@203.0.113.7"),
            # In answers coming in, Contact stays as the server wrote it.
            Example(
                "register-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "incoming-invite",
                b"INVITE sip:alice@203.0.113.7:61002",
                b"INVITE sip:alice@192.168.1.20:5060",
            ),
            # In a call from outside, the answer's session description is left alone.
            Example("incoming-ok", b"c=IN IP4 192.168.1.20", b"c=IN IP4 192.168.1.20"),
            Example("media-refused", b"m=audio 0 RTP/AVP 0", None),
        ),
        rules=(
            "RFC 3261 7.3.1",
            "RFC 3261 8.2.6.2",
            "RFC 3264 6",
            "RFC 3264 8.2",
            "RFC 3261 13.2.1",
            "RFC 5626 3.5.1",
        ),
        symptom=(
            "Calls out work, and end in silence when the far side sends from elsewhere than it said. Who "
            "is called is not heard, for the private address in the answer stays. Video that is refused, "
            "calls without an offer and T.38 fail; phones that keep the NAT open with CRLF are not "
            "reachable after a while."
        ),
        sources=(
            Source(
                "danos/vyatta-dataplane at 132bbda8, src/npf/alg/sip/sip_translate.c: "
                "sip_alg_translate_snat, sip_alg_translate_dnat, sip_alg_translate_header, "
                "sip_alg_translate_route",
                Evidence.SOURCE_CODE,
                _URL,
            ),
            Source(
                "danos/vyatta-dataplane at 132bbda8, src/npf/alg/sip/sip_parse.c: sip_alg_manage_media, "
                "sip_do_translate, sip_alg_parse_media_ports, sip_alg_body_is_sdp",
                Evidence.SOURCE_CODE,
                _URL,
            ),
            Source(
                "danos/vyatta-dataplane at 132bbda8, src/npf/alg/sip/sip_response.c: sip_manage_response, "
                "sip_alg_resolve_media, sip_alg_create_rtp_tuples",
                Evidence.SOURCE_CODE,
                _URL,
            ),
            Source(
                "danos/vyatta-dataplane at 0a29f75e, src/npf/alg/sip/sip_request.c: sip_manage_request, "
                "sip_parse_reply_path, sip_alg_add_cntl_tuple, sip_alg_expires",
                Evidence.SOURCE_CODE,
                _URL,
            ),
            Source(
                "That an error drops the packet, the least length of 200 bytes, that a request by the "
                "wildcard's flow ends there; in which order the library prints fields; how long a way in "
                "without packets stays (here as long as the NAT's timer), and that RTCP's is there with "
                "RTP's",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=Danos(),
)
