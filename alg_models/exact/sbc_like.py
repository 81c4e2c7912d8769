"""The ALG of firewalls, which hides inside addresses in every header: Juniper and Fortinet, as documented."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

from annotated_types import Ge

from siplab.alg_models.exact._sbc_headers import Change, HoldRegistered, TranslateHeaders
from siplab.alg_models.faults.call_duration_cap import CapDuration
from siplab.alg_models.faults.hold_releases_media import ReleaseOnHold
from siplab.alg_models.faults.media_idle_blocked import BlockIdleMedia
from siplab.alg_models.faults.sdp_line_injected import InjectTrace
from siplab.alg_models.faults.unknown_method_dropped import DropUnknownMethods
from siplab.alg_models.steps.headers import FitContentLength
from siplab.alg_models.steps.media import CloseDialog, TranslateSdp
from siplab.lab.gateway.alg import Card, Evidence, Example, Model, Recipe, Source, Step


@dataclass(frozen=True)
class _Documented:
    """The settings in a vendor's documentation; 0 if it names no limit."""

    route: Change
    nat_trace: bool
    retain_hold_resource: bool
    call_minutes: float
    media_idle: float
    adds_port: bool


_DOCUMENTED: Final = {
    "juniper": _Documented(Change.TO_LOCAL, False, False, 720.0, 120.0, True),
    "fortinet": _Documented(Change.TO_ALG, True, True, 0.0, 0.0, False),
}


@dataclass(frozen=True)
class SbcLike:
    """The table of headers, and settings. A parameter that is ``None`` is as ``vendor`` documents it.

    - ``hide_call_id``: translate the host of Call-ID (Junos: off by ``disable-call-id-hiding``).
    - ``nat_trace``: add the private origin to session descriptions as an i= line (FortiOS).
    - ``no_sdp_fixup``: leave session descriptions alone (FortiOS).
    - ``unknown_message``: what happens to requests whose method is not registered.
    - ``retain_hold_resource``: keep media ports of a call on hold (Junos).
    - ``call_minutes``: the longest call (Junos ``maximum-call-duration``), 0 for any length.
    - ``media_idle``: seconds without media that close the pinholes (Junos), 0 for never.
    - ``cut_cells``: Via, Record-Route and Route of responses coming in, which the excerpts cut off.
    - ``contact_back``: translate Contact of responses coming in to the local address.
    - ``call_table``: find calls by Call-ID, whichever side began them; otherwise only the table counts.
    - ``adds_port``: whether a Contact without a port leaves with one.
    - ``restore_to``: undo in responses the change of To in the request, contrary to the printed table.
    """

    vendor: Literal["juniper", "fortinet"] = "juniper"
    hide_call_id: bool = True
    nat_trace: bool | None = None
    no_sdp_fixup: bool = False
    unknown_message: Literal["drop", "permit"] = "drop"
    retain_hold_resource: bool | None = None
    call_minutes: Annotated[float, Ge(0)] | None = None
    media_idle: Annotated[float, Ge(0)] | None = None
    cut_cells: Literal["translated", "left"] = "translated"
    contact_back: bool = False
    call_table: bool = True
    restore_to: bool = False
    adds_port: bool | None = None

    def recipe(self) -> Recipe:
        documented = _DOCUMENTED[self.vendor]
        minutes = documented.call_minutes if self.call_minutes is None else self.call_minutes
        idle = documented.media_idle if self.media_idle is None else self.media_idle
        trace = documented.nat_trace if self.nat_trace is None else self.nat_trace
        retain = self.retain_hold_resource
        retain = documented.retain_hold_resource if retain is None else retain
        chosen: tuple[tuple[bool, Step], ...] = (
            (True, self._headers(outbound=False)),
            (self.unknown_message == "drop", DropUnknownMethods(known="registered")),
            (minutes > 0, CapDuration(minutes * 60)),
            (trace, InjectTrace()),
            (not self.no_sdp_fixup, TranslateSdp()),
            (idle > 0, BlockIdleMedia(idle)),
            (not retain, ReleaseOnHold()),
            (True, FitContentLength()),
            (True, HoldRegistered(self._adds_port)),
            (True, CloseDialog()),
            (True, self._headers(outbound=True)),
        )
        return Recipe(base=tuple(step for wanted, step in chosen if wanted))

    def _headers(self, *, outbound: bool) -> TranslateHeaders:
        return TranslateHeaders(
            outbound,
            _DOCUMENTED[self.vendor].route,
            self.cut_cells == "translated",
            self.contact_back,
            self.hide_call_id,
            self.call_table,
            self.restore_to,
            self._adds_port,
        )

    @property
    def _adds_port(self) -> bool:
        return _DOCUMENTED[self.vendor].adds_port if self.adds_port is None else self.adds_port


_FORTI_CLI: Final = "https://docs.fortinet.com/document/fortigate/6.0.0/cli-reference/236303/voip-profile"

MODEL = Model(
    id="sbc-like",
    card=Card(
        summary=(
            "The ALG of Juniper's and Fortinet's firewalls as they document it: From, Call-ID, Via, "
            "Contact and routes hidden going out, To localised coming in, media and calls with limits."
        ),
        kind="reference-implementation",
        examples=(
            Example("register", b"Call-ID: a84b4c76@192.168.1.20", b"Call-ID: a84b4c76@203.0.113.7"),
            Example(
                "register-ok",
                b"Contact: <sip:alice@203.0.113.7:61002>",
                b"Contact: <sip:alice@203.0.113.7:61002>",
            ),
            Example(
                "headers-address-invite", b"From: <sip:alice@192.168.1.20>", b"From: <sip:alice@203.0.113.7>"
            ),
            Example(
                "headers-address-ok",
                b"From: <sip:alice@203.0.113.7:61002>",
                b"From: <sip:alice@192.168.1.20:5060>",
            ),
            Example(
                "incoming-invite",
                b"INVITE sip:alice@203.0.113.7:61002",
                b"INVITE sip:alice@192.168.1.20:5060",
            ),
            Example("incoming-invite", b"To: <sip:alice@lab.test>", b"To: <sip:alice@192.168.1.20>"),
            Example(
                "headers-lan-proxy-invite",
                b"Record-Route: <sip:192.168.1.5;lr>",
                b"Record-Route: <sip:203.0.113.7:61002;lr>",
            ),
            # When hold ends, the call gets other media ports than at its beginning.
            Example("media-resume", b"m=audio 49170 RTP/AVP 0", b"m=audio 61006 RTP/AVP 0"),
            Example("state-update-after-13h", b"UPDATE sip:bob@198.51.100.20:5060 SIP/2.0", None),
            Example("state-rtp-after-silence", b"speech", None),
        ),
        rules=("RFC 3261 8.2.6.2", "RFC 3261 16.6", "RFC 3261 12.2.1.1", "RFC 3264 8.4", "RFC 4028 10"),
        symptom=(
            "Phones find the public address in the answer to their registration. After hold a call may be "
            "one-way, after two minutes of silence too; calls of twelve hours drop. Transfers by Replaces "
            "name a Call-ID that the other side knows otherwise."
        ),
        sources=(
            Source(
                "Junos 9.4 security guide, SIP headers, table 61: requests and responses by direction",
                Evidence.VENDOR_DOCUMENTATION,
            ),
            Source(
                "FortiOS 6.0 handbook, how the SIP ALG translates addresses in headers: a table of that "
                "shape, with Route to the ALG's address on source-translated requests",
                Evidence.VENDOR_DOCUMENTATION,
                "https://docs2.fortinet.com/document/fortigate/6.0.0/handbook/765029/"
                "how-the-sip-alg-translates-ip-addresses-in-sip-headers",
            ),
            Source(
                "From memory, for the excerpts of both tables are cut there: in responses coming in, Via, "
                "Record-Route and Route become local (cut_cells), and Contact stays (contact_back)",
                Evidence.INFERENCE,
            ),
            Source(
                "Junos, disable-call-id-hiding: the host of Call-ID is translated by default",
                Evidence.VENDOR_DOCUMENTATION,
                "https://juniper.net/documentation/software/junos-es/junos-es93/junos-es-swcmdref/"
                "disable-call-id-hiding.html",
            ),
            Source(
                "Junos: calls are found by From, To and Call-ID in a table of calls",
                Evidence.VENDOR_DOCUMENTATION,
                "https://blog.51cto.com/u_15747257/5565343",
            ),
            Source(
                "That the far side's requests in such a call get the local Call-ID, which the table of "
                "headers does not say (call_table)",
                Evidence.INFERENCE,
            ),
            Source(
                "Junos 10.2, the incoming NAT table: contacts of registrations going out are remembered, "
                "and URIs must be addresses",
                Evidence.VENDOR_DOCUMENTATION,
                "https://juniper.net/documentation/software/junos-security/junos-security10.2/"
                "junos-security-swconfig-security/topic-42175.html",
            ),
            Source(
                "Junos, retain-hold-resource: media resources are freed on hold by default",
                Evidence.VENDOR_DOCUMENTATION,
                "https://juniper.net/documentation/software/junos-security/junos-security10.2/"
                "junos-security-swconfig-security/topic-42171.html",
            ),
            Source(
                "J-Web 8.5 help: a call ends after 720 min, its media pinholes after 120 s without media",
                Evidence.VENDOR_DOCUMENTATION,
                "https://www.juniper.net/documentation/software/junos/jes85/jweb85-help/"
                "configuration_wizards_alg_voipalgs-2.html",
            ),
            Source(
                "FortiOS CLI reference, voip profile: nat-trace and block-unknown on, no-sdp-fixup off",
                Evidence.VENDOR_DOCUMENTATION,
                _FORTI_CLI,
            ),
            Source(
                "That Junos drops unknown messages, since it has statements that permit them; and that an "
                "unknown message is a request of an unregistered method",
                Evidence.INFERENCE,
                "https://juniper.net/documentation/software/junos-es/junos-es93/junos-es-swcmdref/sip.html",
            ),
            Source(
                "That FortiOS leaves a Contact without a port without one: its documents speak of addresses",
                Evidence.INFERENCE,
            ),
            Source(
                "What no source describes is as the correct ALG does it: received and rport, attributes of "
                "session descriptions, the end of a call",
                Evidence.INFERENCE,
            ),
        ),
    ),
    fault=SbcLike(),
    variants=({"vendor": "fortinet"}, {"cut_cells": "left"}, {"call_table": False}),
)
