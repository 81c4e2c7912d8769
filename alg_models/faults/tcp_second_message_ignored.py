"""If several messages come together over TCP, the ALG translates only the first."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.controls import CORRECT_STEPS
from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Showing, Source
from siplab.lab.wire.ip import TCP, Endpoint
from siplab.lab.wire.sip import SipMessage

_FLOWS: Final = 4096  # entries; packets make them, so there must be a bound


@dataclass
class _Moments:
    """By connection and direction: when the last message came, with its Call-ID, CSeq and status."""

    last: dict[tuple[bool, Endpoint, Endpoint], tuple[float, bytes]] = field(default_factory=dict)


@dataclass(frozen=True)
class FirstOnly:
    """Over TCP, translate only the first of the messages that come at the same time, in one segment."""

    def recipe(self) -> Recipe:
        return Recipe(base=CORRECT_STEPS, exemptions=(self,))

    def exempts(self, message: SipMessage, context: Context) -> bool:
        if context.protocol != TCP:
            return False
        moments = context.remember(self, _Moments).last
        flow = (context.outbound, context.inside, context.remote)
        name = message.value(b"call-id") + message.value(b"cseq") + b"%d" % (message.status or 0)
        now, first = moments.get(flow, (-1.0, b""))
        if now == context.now:
            return first != name
        if len(moments) >= _FLOWS:
            del moments[next(iter(moments))]
        moments[flow] = (context.now, name)
        return False


MODEL = Model(
    id="tcp-second-message-ignored",
    card=Card(
        fault_class="transport",
        summary="Translates correctly, but over TCP only the first of several messages that come together.",
        examples=(
            Example(
                "transport-tcp-two",
                b"Contact: <sip:bob@192.168.1.20;transport=tcp>",
                b"Contact: <sip:bob@192.168.1.20;transport=tcp>",
            ),
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
        ),
        rules=("RFC 3261 18.3",),
        symptom=(
            "Over TCP it works as long as messages come one by one; those that a phone or a server sends "
            "at once keep their private addresses."
        ),
        sources=(
            Source(
                "That an ALG which reads one message of a segment leaves the rest; Linux loops over them "
                "for that reason (net/netfilter/nf_conntrack_sip.c, sip_help_tcp)",
                Evidence.INFERENCE,
                "https://github.com/torvalds/linux",
            ),
        ),
        shows=(
            Showing(
                "tcp-call(framing=pipelined)", "caller hears in the outgoing call", server="strict-addresses"
            ),
        ),
    ),
    fault=FirstOnly(),
)
