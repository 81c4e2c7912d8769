"""Answers are delivered to the port in the phone's Via, not to the one that it sent from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.alg_models.steps.addresses import DEFAULT_PORT
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.headers import vias
from siplab.lab.wire.ip import UDP, Endpoint
from siplab.lab.wire.sip import SipMessage

_LIMIT: Final = 4096  # entries; messages make them, so there must be a bound


@dataclass(frozen=True)
class ForceReplyPort:
    """Treat the port in a request's Via as the phone's port: inbound messages are translated and sent to it.

    Only for UDP, when the topmost Via has the phone's address and another port than its source port.
    """

    def recipe(self) -> Recipe:
        # First: Via must be read as the phone wrote it, and inbound translation must use the new port.
        return Recipe(base=CORRECT_STEPS, first=(self,))

    def apply(self, message: SipMessage, context: Context) -> None:
        if context.protocol != UDP or ":" in context.inside.ip:
            return
        forced: dict[tuple[Endpoint, Endpoint], int] = context.remember(self, dict)
        flow = (context.inside, context.remote)
        if not context.outbound:
            port = forced.get(flow)
            if port is not None:
                context.inside = Endpoint(context.inside.ip, port)
                context.deliver_elsewhere(context.inside)
        elif not message.is_response:
            for via in vias(message.value(b"via"))[:1]:
                named = DEFAULT_PORT if via.sent_by.port is None else via.sent_by.port
                if via.sent_by.host != context.inside.ip.encode() or not 0 < named < 65536:
                    continue
                if named != context.inside.port:
                    if len(forced) >= _LIMIT:
                        del forced[next(iter(forced))]
                    forced[flow] = named


MODEL = Model(
    id="reply-port-forced",
    card=Card(
        fault_class="state",
        summary=(
            "Translates correctly, but delivers what comes in to the port of the phone's Via, although rport "
            "asks for the port that the phone sent from."
        ),
        examples=(
            Example("headers-high-port-ok", b"rport=61002", b"rport=5060"),
            Example(
                "headers-high-port-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
        ),
        rules=("RFC 3581 4",),
        symptom=(
            "A phone that sends from one port and names another in Via never sees an answer: it can't "
            "register. Phones that use one port for both notice nothing."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c and nf_nat_sip.c: forced_dport, made for Cisco "
                "phones that send from a high port and listen on 5060",
                Evidence.SOURCE_CODE,
            ),
            Source(
                "A phone that sends from a high port and listens on 5060, which this is made for",
                Evidence.USER_REPORT,
                "https://github.com/drachtio/drachtio-server/issues/374",
            ),
            Source("That it harms phones that rely on rport", Evidence.INFERENCE),
        ),
        shows=(Showing("register", "registered", phone="quirky(quirk=other-via-port)"),),
    ),
    fault=ForceReplyPort(),
)
