"""What ZyXEL's NBG7815 adds: tables of calls, for two phones of one home that call through a proxy.

If a description's address is not the packet's source, the ALG looks the call up by its Call-ID. Facts:
kirdesde/nbg7815_gpl at e816d72c, qca/src/linux-4.4, net/netfilter/nf_conntrack_sip.c.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from siplab.alg_models.exact._linux.expectations import Kind
from siplab.alg_models.exact._linux.flow import View
from siplab.alg_models.exact._linux.helper import LINUX, Methods
from siplab.alg_models.exact._linux.sdp import expect_from, expect_media, process_sdp, write_port
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

_HELD: Final = 180.0  # seconds that an entry is good for
_LIMIT: Final = 4096  # entries; packets make them, so there must be a bound


@dataclass
class _Calls:
    """By Call-ID: the endpoint that stood for the caller's (callee's) media, and until when it is valid."""

    caller: dict[bytes, tuple[Endpoint, float]] = field(default_factory=dict)
    callee: dict[bytes, tuple[Endpoint, float]] = field(default_factory=dict)

    def forget(self, call: bytes) -> None:
        self.caller.pop(call, None)
        self.callee.pop(call, None)


def _calls(view: View) -> _Calls:
    return view.context.remember("linux-sip calls", _Calls)


def _call_id(view: View) -> bytes:
    return SipMessage.parse(view.payload.data).value(b"call-id")


def _expect(view: View, kind: Kind, media: Endpoint, begin: int, end: int) -> str:
    """Expect media. Media announced for another host count as the sender's; repeats get the first result."""
    data, calls = view.payload.data, _calls(view)
    response = data.startswith(b"SIP/2.0 ")
    if media.ip == view.source.ip or (response and not (b"INVITE" in data and b"Contact: <sip:" in data)):
        return expect_media(view, kind, media, begin, end)
    table, call = calls.callee if response else calls.caller, _call_id(view)
    known = table.get(call)
    if known is not None and known[1] > view.context.now:
        if known[0].port != media.port:
            write_port(view, begin, end, known[0].port)
        return known[0].ip
    if len(table) >= _LIMIT:
        del table[next(iter(table))]
    table[call] = Endpoint(view.source.ip, media.port), view.context.now + _HELD
    return expect_from(view, kind, view.new_destination.ip, media, begin, end)


def _invite(view: View, cseq: int) -> None:
    view.memory.expectations.flush(view.flow, view.context, media=True)
    process_sdp(view, _expect)
    view.flow.invite_cseq = cseq


def _answered(view: View, cseq: int, code: int) -> None:
    if 100 <= code <= 299:
        process_sdp(view, _expect)
    else:
        LINUX.responses[b"INVITE"](view, cseq, code)


def _bye(view: View, cseq: int) -> None:
    _calls(view).forget(_call_id(view))
    LINUX.requests[b"BYE"](view, cseq)


def _cancel(view: View, _: int) -> None:
    _calls(view).forget(_call_id(view))


def _cancelled(view: View, _: int, __: int) -> None:
    _calls(view).forget(_call_id(view))


AGENT: Final = Methods(
    requests={**LINUX.requests, b"INVITE": _invite, b"BYE": _bye, b"CANCEL": _cancel},
    responses={**LINUX.responses, b"INVITE": _answered, b"CANCEL": _cancelled},
)
