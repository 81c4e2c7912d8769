"""The Linux kernel's own ALG: nf_conntrack_sip with nf_nat_sip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from siplab.alg_models.exact._linux.flow import Settings
from siplab.alg_models.exact._linux.helper import LINUX, SipHelper
from siplab.alg_models.exact._linux.kernel import NEWEST, OLD, Kernel
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source

_MAX_PORTS: Final = 8
# What connection tracking lends the ALG, whatever the kernel.
POLICY: Final[Mapping[str, Any]] = {
    "non_sip": "inspect",
    "tcp": "payload",
    "refresh": "both",
    "follow_pinholes": True,
}
_KERNELS: Final[dict[int, Kernel]] = {6: NEWEST, 3: OLD}


@dataclass(frozen=True)
class LinuxSip:
    """The module's parameters, and the kernel: 6 (the newest) or 3 (2.6.38 to the repairs of 2012).

    ``ports``: one or up to eight server ports, with spaces between. ``sip_timeout`` in seconds.
    """

    kernel: Literal[6, 3] = 6
    ports: int | str = 5060
    sip_timeout: int = 3600
    sip_direct_signalling: bool = True
    sip_direct_media: bool = True
    sip_external_media: bool = False

    def recipe(self) -> Recipe:
        """Raises ``UsageError`` for ports that the module would not load with."""
        words = str(self.ports).split()
        if not 1 <= len(words) <= _MAX_PORTS or not all(
            each.isdecimal() and 0 < int(each) < 65536 for each in words
        ):
            raise UsageError(
                f"model 'linux', parameter 'ports': '{self.ports}' is not one to eight port numbers"
            )
        if self.sip_timeout <= 0:
            raise UsageError("model 'linux', parameter 'sip_timeout': must be above 0 seconds")
        settings = Settings(
            _KERNELS[self.kernel],
            float(self.sip_timeout),
            self.sip_direct_signalling,
            self.sip_direct_media,
            self.sip_external_media and self.kernel != 3,
        )
        return Recipe(
            base=(SipHelper(settings, LINUX),),
            policy={
                **POLICY,
                "ports": frozenset(map(int, words)),
                "signalling_timeout": settings.timeout,
            },
        )


MODEL = Model(
    id="linux",
    card=Card(
        summary="The Linux kernel's ALG: translates what equals the packet's own addresses, both ways.",
        kind="reference-implementation",
        examples=(
            Example(
                "register",
                b"Contact: <sip:alice@192.168.1.20:5060>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example("register-ok", b";rport=61002;", b";rport=5060;"),
            # A missing port counts as 5060, and is written.
            Example(
                "headers-contact-portless",
                b"Contact: <sip:alice@192.168.1.20>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # A phone whose Via names another port than it sends from gets everything there.
            Example(
                "headers-high-port-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@192.168.1.20:5060>",
            ),
            # The address of the last stream becomes that of the session.
            Example("media-relays", b"o=bob 2 1 IN IP4 198.51.100.20", b"o=bob 2 1 IN IP4 198.51.100.21"),
            Example("media-odd", b"m=audio 49171 RTP/AVP 0", b"m=audio 49171 RTP/AVP 0"),
            Example(
                "media-ice",
                b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170",
                b"a=candidate:1 1 UDP 2130706431 192.168.1.20 49170",
            ),
            Example("media-no-length", b"INVITE sip:bob@lab.test", None),
            Example("media-named-origin", b"INVITE sip:bob@lab.test", None),
            Example("state-invite-during-challenge", b"INVITE sip:alice@203.0.113.7:61002", None),
        ),
        rules=(
            "RFC 3261 10.3",
            "RFC 3261 18.3",
            "RFC 3261 20.14",
            "RFC 3581 4",
            "RFC 8839 4.2.1.2",
            "RFC 8866 5.2",
            "RFC 8866 5.7",
        ),
        symptom=(
            "Mostly none: phones see a world without NAT. Calls fail where an offer names hosts instead of "
            "addresses or has no Content-Length, where a phone listens on another port than its Via says, "
            "and where calls arrive from another port of the provider while the phone is challenged. Media "
            "of others than the provider has to wait until the phone sends."
        ),
        sources=(
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c and nf_nat_sip.c",
                Evidence.SOURCE_CODE,
                "https://github.com/torvalds/linux",
            ),
            Source(
                "NV-Kernels net/netfilter/nf_conntrack_sip.c at 1197f50b52d3: the newest kernel's",
                Evidence.SOURCE_CODE,
                "https://github.com/NVIDIA/NV-Kernels",
            ),
            Source(
                "Linux net/netfilter/nf_conntrack_sip.c at 001985b2c0cf: kernel=3",
                Evidence.SOURCE_CODE,
                "https://github.com/torvalds/linux/commit/001985b2c0cf",
            ),
        ),
    ),
    fault=LinuxSip(),
    variants=({"kernel": 3},),
)
