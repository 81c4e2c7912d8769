"""The ALG's switch is set to "off", which makes the router drop SIP."""

from __future__ import annotations

from dataclasses import dataclass

from siplab.lab.gateway.alg import Card, Context, Evidence, Example, Model, Recipe, Source
from siplab.lab.wire.sip import SipMessage


@dataclass(frozen=True)
class BlockSip:
    """Drop every datagram to or from the port of SIP, both ways. TCP and other ports pass."""

    def recipe(self) -> Recipe:
        policy = {"non_sip": "inspect", "transports": frozenset({"udp"})}
        return Recipe(first=(self,), policy=policy)

    def apply(self, _: SipMessage, context: Context) -> None:
        context.drop("the ALG is off, and its port is closed")


MODEL = Model(
    id="sip-blocked",
    card=Card(
        fault_class="policy",
        summary="The ALG is switched off, and the router drops SIP over UDP port 5060 instead.",
        examples=(
            Example("register", b"REGISTER sip:lab.test SIP/2.0", None),
            Example("state-register-at-5080", b"REGISTER sip:lab.test", b"REGISTER sip:lab.test"),
        ),
        rules=("RFC 4787 11",),
        symptom=(
            "After the ALG was switched off, as every provider advises, no phone registers any more; another "
            "server port or TCP works."
        ),
        sources=(
            Source(
                "Realtek's SDK, RTL8197_3411D_2 net/netfilter/nf_conntrack_core.c at 7ac83df0: with 'sip 0' "
                "in /proc/alg the helper returns NF_DROP",
                Evidence.SOURCE_CODE,
                "https://github.com/AskeyDB40/RTL8197_3411D_2",
            ),
            Source(
                "D-Link DIR-850L A1, templates/aries/dlob.hans/services/IPTDEFCHAIN.php lines 368 to 388 at "
                "92b64054: FORWARD drops UDP port 5060 while the ALG is off",
                Evidence.SOURCE_CODE,
                "https://github.com/coolshou/DIR-850L_A1",
            ),
        ),
    ),
    fault=BlockSip(),
)
