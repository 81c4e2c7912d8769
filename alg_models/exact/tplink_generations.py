"""TP-Link's ALGs in other kernels than that of the MT7628: three more states of the vendor's code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

from siplab.alg_models.exact._linux.flow import Settings
from siplab.alg_models.exact._linux.helper import SipHelper
from siplab.alg_models.exact._linux.kernel import OLD, Kernel, of_version
from siplab.alg_models.exact._linux.tplink import SIGNALLING_TIMEOUT, Generation, known, methods
from siplab.alg_models.exact.linux import POLICY
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source

Name = Literal["t0", "t1", "t1b"]


class _State(NamedTuple):
    """A generation's kernel, and the vendor's code. ``table``: headers follow the table of phones."""

    kernel: Kernel
    code: Generation
    table: bool = False


_ANY: Final = Generation(both_ways=False, within_lan=False, even=False)
_STATES: Final = {
    "t0": _State(replace(of_version("2.6.32"), video=False), replace(_ANY, default_expires=0)),
    "t1": _State(OLD, replace(_ANY, margin=SIGNALLING_TIMEOUT), table=True),
    "t1b": _State(of_version("3.10.14"), replace(_ANY, swapped=True)),
}


@dataclass(frozen=True)
class TplinkGenerations:
    """``generation``: ``t0`` of 2012 (kernel 2.6.32), ``t1`` of 2013 (2.6.36), ``t1b`` (3.10.14)."""

    generation: Name = "t1"

    def recipe(self) -> Recipe:
        state = _STATES[self.generation]
        settings = Settings(
            state.kernel, direct_signalling=False, direct_media=False, known=known if state.table else None
        )
        policy = {**POLICY, "signalling_timeout": settings.timeout}
        if not state.kernel.tcp:
            policy["transports"] = frozenset({"udp"})
        return Recipe(base=(SipHelper(settings, methods(state.code)),), policy=policy)


MODEL = Model(
    id="tplink-generations",
    card=Card(
        summary=(
            "TP-Link's ALGs of other kernels than the MT7628's. This one translates in headers only what a "
            "phone has registered, and takes whatever media an offer names for its own."
        ),
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport",
                b"Via: SIP/2.0/UDP 203.0.113.7:61002;rport",
            ),
            # If a phone has not registered, its headers go out as they are; its description is translated.
            Example(
                "invite", b"Contact: <sip:alice@192.168.1.20:5060>", b"Contact: <sip:alice@192.168.1.20:5060>"
            ),
            Example("invite", b"c=IN IP4 192.168.1.20", b"c=IN IP4 203.0.113.7"),
            Example("media-odd", b"m=audio 49171 RTP/AVP 0", b"m=audio 49171 RTP/AVP 0"),
        ),
        rules=("RFC 3261 8.1.1.8", "RFC 3261 18.2.2", "RFC 3264 5.1"),
        symptom=(
            "Phones that call without having registered show their private address. Strangers reach the "
            "phone by the pinholes of its registration and of calls that are long over."
        ),
        sources=(
            Source(
                "TL-MR110V3_gpl_src at 47e0e133, kernel 2.6.36: generation t1",
                Evidence.SOURCE_CODE,
                "https://github.com/trou/TL-MR110V3_gpl_src",
            ),
            Source(
                "tplink_gpl_archer_c5_v4 at b04753e7, kernel 3.10.14: generation t1b",
                Evidence.SOURCE_CODE,
                "https://github.com/awalgarg/tplink_gpl_archer_c5_v4",
            ),
            Source(
                "TDW8980_GPL at 07295e52, kernel 2.6.32: generation t0",
                Evidence.SOURCE_CODE,
                "https://github.com/benjaminlevine/TDW8980_GPL",
            ),
            Source(
                "That t1b's expectation is at the port with its bytes exchanged, for the port is put in "
                "network order twice on a little-endian processor; that a refused REGISTER ends nothing",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=TplinkGenerations(),
    variants=({"generation": "t0"}, {"generation": "t1b"}),
)
