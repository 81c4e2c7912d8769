"""Netgear's kmod-dnisip: the kernel's ALG of 2.6.36 with additions, in routers made by DNI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from siplab.alg_models.exact._linux.dnisip import DNISIP
from siplab.alg_models.exact._linux.flow import Settings
from siplab.alg_models.exact._linux.helper import SipHelper
from siplab.alg_models.exact._linux.kernel import OLD
from siplab.alg_models.exact.linux import POLICY
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source

_SETTINGS: Final = Settings(OLD, routes=True)


@dataclass(frozen=True)
class NetgearSip:
    """The ALG as the router has it; it has no parameters."""

    def recipe(self) -> Recipe:
        policy = {**POLICY, "signalling_timeout": _SETTINGS.timeout}
        return Recipe(base=(SipHelper(_SETTINGS, DNISIP),), policy=policy)


MODEL = Model(
    id="netgear-dnisip",
    card=Card(
        summary=(
            "Netgear's variant of an old Linux ALG: Route and Record-Route are translated, too, and answers "
            "to the port of a Via get through for 60 s."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # The ALG looks for the parameters of a Via where they stood before its address grew.
            Example(
                "register-ok", b"Via: SIP/2.0/UDP 203.0.113.7:61002", b"Via: SIP/2.0/UDP 192.168.1.20:5060"
            ),
            Example("media-no-length", b"INVITE sip:bob@lab.test", None),
            Example("media-named-origin", b"INVITE sip:bob@lab.test", None),
            Example("state-invite-during-challenge", b"INVITE sip:alice@203.0.113.7:61002", None),
        ),
        rules=("RFC 3261 16.12", "RFC 3261 18.2.2", "RFC 3261 18.3", "RFC 3261 20.14", "RFC 8866 5.2"),
        symptom=(
            "As behind an old Linux kernel; a phone that listens elsewhere than it sends from is reached for "
            "a minute after each of its requests."
        ),
        sources=(
            Source(
                "R7500-V1.0.0.124_gpl git_home/kmod-dnisip.git nf_conntrack_sip.c and nf_nat_sip.c at "
                "352c057f",
                Evidence.SOURCE_CODE,
                "https://github.com/blue-cloud/R7500-V1.0.0.124_gpl",
            ),
            Source(
                "XR500-V2.3.2.40_gpl_src, the same files at 5514e2cc",
                Evidence.SOURCE_CODE,
                "https://github.com/robcore/XR500-V2.3.2.40_gpl_src",
            ),
            Source(
                "That the search for media ports, when all above are taken, finds none below either: its "
                "loop steps a pointer",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=NetgearSip(),
)
