"""The Linux kernel's own ALG: nf_conntrack_sip with nf_nat_sip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from siplab.alg_models.exact._linux.agent import AGENT
from siplab.alg_models.exact._linux.flow import Settings
from siplab.alg_models.exact._linux.helper import BROADCOM, LINUX, SipHelper
from siplab.alg_models.exact._linux.kernel import NEWEST_VERSION, OtherPort, Version, of_version
from siplab.lab.errors import UsageError
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source

_MAX_PORTS: Final = 8
# What connection tracking provides to the ALG, in every kernel.
POLICY: Final[Mapping[str, Any]] = {
    "non_sip": "inspect",
    "tcp": "payload",
    "refresh": "both",
    "follow_pinholes": True,
    "growth": "obey-df",
}


@dataclass(frozen=True)
class LinuxSip:
    """The module's parameters, and the kernel: ``newest``, or a version from 2.6.26 on.

    ``ports``: one or up to eight server ports, with spaces between. ``sip_timeout`` in seconds.
    ``sip_external_media``: of the newest kernel only.

    What vendors changed. ``other_port``: what happens to an address of the packet with another port than the
    packet's. Mainline leaves it ``untouched``. With ``kept`` the address is translated and the port stays
    (and every Via is translated), with ``own`` the port becomes the packet's untranslated one, with
    ``pinhole`` a port is opened for it. ``calls_at_once``: a registration lets calls in before the registrar
    agrees. ``cancel_ends_media``: CANCEL ends media as BYE does, in 5 s. ``call_table``: if a description
    names another host than the sender, the table of calls gives the endpoint for its Call-ID (ZyXEL).
    """

    kernel: Version = NEWEST_VERSION
    ports: int | str = 5060
    sip_timeout: int = 3600
    sip_direct_signalling: bool = True
    sip_direct_media: bool = True
    sip_external_media: bool = False
    other_port: OtherPort = "untouched"
    calls_at_once: bool = False
    cancel_ends_media: bool = False
    call_table: bool = False

    def recipe(self) -> Recipe:
        """Raises ``UsageError`` for an unknown kernel, or ports with which the module would not load."""
        words = str(self.ports).split()
        if not 1 <= len(words) <= _MAX_PORTS or not all(
            each.isdecimal() and 0 < int(each) < 65536 for each in words
        ):
            raise UsageError(
                f"model 'linux', parameter 'ports': '{self.ports}' is not one to eight port numbers"
            )
        if self.sip_timeout <= 0:
            raise UsageError("model 'linux', parameter 'sip_timeout': must be above 0 seconds")
        try:
            kernel = of_version(self.kernel)
        except ValueError as reason:
            raise UsageError(f"model 'linux', parameter 'kernel': {reason}") from None
        if self.other_port != "untouched":
            kernel = replace(
                kernel, other_port=self.other_port, via_port=False, via_any=self.other_port == "kept"
            )
        settings = Settings(
            kernel,
            float(self.sip_timeout),
            self.sip_direct_signalling,
            self.sip_direct_media,
            self.sip_external_media and self.kernel == NEWEST_VERSION,
            calls_at_once=self.calls_at_once,
        )
        policy = {
            **POLICY,
            "ports": frozenset(map(int, words)),
            "signalling_timeout": settings.timeout,
        }
        if not kernel.tcp:
            policy["transports"] = frozenset({"udp"})
        if self.call_table and self.cancel_ends_media:
            raise UsageError("model 'linux': 'call_table' and 'cancel_ends_media' are of two vendors")
        methods = AGENT if self.call_table else BROADCOM if self.cancel_ends_media else LINUX
        return Recipe(base=(SipHelper(settings, methods),), policy=policy)


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
            # A missing port counts as 5060, and the ALG writes the public port.
            Example(
                "headers-contact-portless",
                b"Contact: <sip:alice@192.168.1.20>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            # If a phone's Via names another port than the source port, everything is delivered there.
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
                "NV-Kernels net/netfilter/nf_conntrack_sip.c at 1197f50b52d3: kernel=newest",
                Evidence.SOURCE_CODE,
                "https://github.com/NVIDIA/NV-Kernels",
            ),
            Source(
                "rtlsdk32-linux-2.6.30 net/netfilter/nf_conntrack_sip.c at 92b64054: kernels 2.6.26 to "
                "2.6.33; 2.6.32 and 2.6.33 by inference from TP-Link's 2.6.32",
                Evidence.SOURCE_CODE,
                "https://github.com/coolshou/DIR-850L_A1",
            ),
            Source(
                "linux_tplink_mt7628, its vanilla base at f6f94e2a: kernels 2.6.34 to 2.6.37",
                Evidence.SOURCE_CODE,
                "https://github.com/IverCoder/linux_tplink_mt7628",
            ),
            Source(
                "linux-2.6.39.3 and linux-brcm963xx, its vanilla base at 54dc928e: kernels 2.6.38 to 3.4",
                Evidence.SOURCE_CODE,
                "https://github.com/gpl-releases/linux-2.6.39.3",
            ),
            Source(
                "nbg7815_gpl at e816d72c, qca/src/linux-4.4, net/netfilter/nf_conntrack_sip.c: call_table",
                Evidence.SOURCE_CODE,
                "https://github.com/kirdesde/nbg7815_gpl",
            ),
            Source(
                "kernel_e100 at 4301cc32: 3.10.107 and 4.9.79; what 4.1 and 4.4 have is read in vendors' "
                "trees",
                Evidence.SOURCE_CODE,
                "https://github.com/UI-Packages/kernel_e100",
            ),
            Source(
                "The patch 'netfilter: nf_nat_sip: fix RTP/RTCP source port translations': 4.20",
                Evidence.SOURCE_CODE,
                "https://github.com/torvalds/linux/commit/8294059931448",
            ),
            Source(
                "The patch 'netfilter: nf_conntrack_sip: fix expectation clash' of July 2019: 5.3. That the "
                "repairs of 2026 are in no kernel before is inferred; not modelled is what older kernels do "
                "with IPv6 without brackets, and with several Contact lines of which the first names a host",
                Evidence.INFERENCE,
            ),
            Source(
                "other_port=kept: D-Link's kernel 2.6.30 (rtlsdk32-linux-2.6.30 at 92b64054). Not modelled: "
                "its search for media ports goes on 1000 ports higher",
                Evidence.SOURCE_CODE,
                "https://github.com/coolshou/DIR-850L_A1",
            ),
            Source(
                "other_port=own: Qualcomm's kernel 3.4 (R7500 linux.git net/netfilter/nf_nat_sip.c at "
                "352c057f)",
                Evidence.SOURCE_CODE,
                "https://github.com/blue-cloud/R7500-V1.0.0.124_gpl",
            ),
            Source(
                "other_port=pinhole, calls_at_once: TP-Link's kernel 2.6.31 (wr841nv9_en_gpl at "
                "9651adcb). That "
                "a header coming in keeps its port is an inference",
                Evidence.SOURCE_CODE,
                "https://github.com/mikebdp2/wr841nv9_en_gpl",
            ),
            Source(
                "cancel_ends_media: Broadcom's software 5.02, kernel 4.1 (ArcherAX10V1_GPLCode at 85abc367)",
                Evidence.SOURCE_CODE,
                "https://github.com/MarioNooo/ArcherAX10V1_GPLCode",
            ),
        ),
    ),
    fault=LinuxSip(),
    variants=(
        {"kernel": "2.6.30"},
        {"kernel": "2.6.36"},
        {"kernel": "2.6.30", "other_port": "kept"},
        {"kernel": "3.4", "other_port": "own"},
        {
            "kernel": "2.6.31",
            "sip_direct_signalling": False,
            "other_port": "pinhole",
            "calls_at_once": True,
        },
        {"kernel": "4.1", "cancel_ends_media": True},
    ),
)
