"""The ALG in TP-Link's kernel for the MT7628: Linux 2.6.36 with the vendor's changes of 2013."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from siplab.alg_models.exact._linux.flow import Settings
from siplab.alg_models.exact._linux.helper import SipHelper
from siplab.alg_models.exact._linux.kernel import OLD
from siplab.alg_models.exact._linux.tplink import TPLINK
from siplab.alg_models.exact.linux import POLICY
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source

_KERNEL: Final = replace(OLD, via_port=False, angle_first=True)
_SETTINGS: Final = Settings(_KERNEL, direct_signalling=False, direct_media=False)


@dataclass(frozen=True)
class TplinkSip:
    """The ALG as the router has it; it has no parameters."""

    def recipe(self) -> Recipe:
        policy = {**POLICY, "signalling_timeout": _SETTINGS.timeout}
        return Recipe(base=(SipHelper(_SETTINGS, TPLINK),), policy=policy)


MODEL = Model(
    id="tplink-mt7628",
    card=Card(
        summary=(
            "TP-Link's variant of an old Linux ALG: pinholes for everybody, which neither BYE nor a refused "
            "call closes."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # In a Via, only the address must match the packet's. The port stays, the parameters are
            # translated.
            Example(
                "headers-high-port-ok",
                b"203.0.113.7:61004;rport=61002;branch=z9hG4bK74;received=203.0.113.7",
                b"203.0.113.7:61004;rport=40000;branch=z9hG4bK74;received=192.168.1.20",
            ),
            # Media of another inside host are translated.
            Example("headers-pbx-invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example(
                "state-invite-during-challenge",
                b"INVITE sip:alice@203.0.113.7:61002",
                b"INVITE sip:alice@192.168.1.20:5060",
            ),
            Example("media-no-length", b"INVITE sip:bob@lab.test", None),
            Example("media-named-origin", b"INVITE sip:bob@lab.test", None),
        ),
        rules=("RFC 3261 18.3", "RFC 3261 20.14", "RFC 8866 5.2", "RFC 8866 5.7"),
        symptom=(
            "Strangers reach the phone by the pinholes of its registration and of calls that are long over. "
            "Calls fail where an offer names hosts instead of addresses or has no Content-Length."
        ),
        sources=(
            Source(
                "linux_tplink_mt7628 net/netfilter/nf_conntrack_sip.c and net/ipv4/netfilter/nf_nat_sip.c "
                "at 5eb0212c41ef",
                Evidence.SOURCE_CODE,
                "https://github.com/IverCoder/linux_tplink_mt7628",
            ),
            Source(
                "That the answer to a call takes the place of the registration's pinhole, since a flow may "
                "expect one thing of signalling",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=TplinkSip(),
)
