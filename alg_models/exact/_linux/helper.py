"""How the ALG handles one payload: which message it is, and what is done to it in which order."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.exact._linux.flow import Flow, Memory, Settings, View
from siplab.alg_models.exact._linux.headers import translate_headers
from siplab.alg_models.exact._linux.register import register_request, register_response
from siplab.alg_models.exact._linux.scan import CONTENT_LENGTH, CSEQ, VIA_UDP, Payload
from siplab.alg_models.exact._linux.sdp import process_sdp
from siplab.lab.gateway.context import Context
from siplab.lab.wire.ip import TCP
from siplab.lab.wire.sip import SipMessage

_SHORTEST: Final = len(b"SIP/2.0 200")
_BLANK: Final = b"\r\n\r\n"
_ENDED: Final = (
    5.0  # seconds without a packet that media has after the end of its call, where a vendor ends it
)
_LETTER: Final = re.compile(rb"[A-Za-z\xc0-\xd6\xd8-\xf6\xf8-\xff]")


Request = Callable[[View, int], None]
Response = Callable[[View, int, int], None]


@dataclass(frozen=True)
class Methods:
    """The handlers by method: of requests (given the CSeq number) and responses (and the status code)."""

    requests: Mapping[bytes, Request]
    responses: Mapping[bytes, Response]


@dataclass(frozen=True)
class SipHelper:
    """The conntrack helper "sip" with its NAT part, as a step. ``settings``: the module's parameters.

    ``methods``: the handlers by method: ``LINUX``, or a vendor's.
    """

    settings: Settings
    methods: Methods

    def apply(self, message: SipMessage, context: Context) -> None:
        memory = context.remember("linux-sip", Memory)
        data = bytes(message)
        with memory.flow(context, self.settings.timeout) as flow:
            if flow.saved is not None:
                context.deliver_elsewhere(flow.saved)
            new = self._inspected(data, context, flow, memory)
        if new != data:
            message.become(new)

    def _inspected(self, data: bytes, context: Context, flow: Flow, memory: Memory) -> bytes:
        """The payload as it leaves."""
        if len(data) < _SHORTEST:
            return data
        if context.protocol == TCP:
            return self._segment(data, context, flow, memory)
        return self._message(View(self._payload(data, context), context, flow, memory, self.settings))

    def _payload(self, data: bytes, context: Context) -> Payload:
        return Payload(data, self.settings.kernel, ipv6=":" in context.inside.ip)

    def _segment(self, data: bytes, context: Context, flow: Flow, memory: Memory) -> bytes:
        """Spec 1.10: inspect the messages that are whole in this segment, up to the first that is not.

        If a message goes on in the next segment, the kernel forgets the growth of the messages before it.
        """
        done = b""
        while data:
            payload = self._payload(data, context)
            length = payload.header(CONTENT_LENGTH)
            if isinstance(length, int):
                break
            body = payload.number(length.offset)
            if body.end == length.offset:
                break
            end = data.find(_BLANK, body.end)
            if end < 0 or (end != body.end and not self.settings.kernel.length_anywhere):
                break
            end += len(_BLANK) + body.value
            if end > len(data):
                if self.settings.kernel.drops_long_segments:
                    context.drop("a message that goes on in the next segment")
                context.leave_uncounted()
                break
            whole = self._payload(data[:end], context)
            done += self._message(View(whole, context, flow, memory, self.settings))
            data = data[end:]
        return done + data

    def _message(self, view: View) -> bytes:
        """Spec 1.3: first the handler of the method, then the header pass."""
        if view.payload.starts(b"SIP/2.0 "):
            _response(view, self.methods.responses)
        else:
            _request(view, self.methods.requests)
        if view.nat:
            translate_headers(view)
        return view.payload.data


def _cseq(view: View) -> tuple[int, int]:
    """The number in CSeq, and where it ends; without one the packet is dropped."""
    found = view.payload.header(CSEQ)
    if isinstance(found, int):
        view.context.drop("CSeq can't be read")
        return 0, 0
    number = view.payload.number(found.offset)
    if number.end == found.offset or (number.value == 0 and not view.settings.kernel.zero_cseq):
        view.context.drop("CSeq is no number")
    return number.value, found.end


def _request(view: View, handlers: Mapping[bytes, Request]) -> None:
    """Spec 1.5 and 1.6: note it if the phone listens on another port; then run the method's handler."""
    payload, kernel = view.payload, view.settings.kernel
    if kernel.forced_dport:
        via = payload.uri(VIA_UDP)
        if (
            via
            and via.endpoint
            and via.endpoint.ip == view.source.ip
            and via.endpoint.port != view.source.port
        ):
            view.flow.forced_dport = via.endpoint.port
    head = payload.data[:10].upper()
    for method, handler in handlers.items():
        if not head.startswith(method):
            continue
        if kernel.whole_methods:
            end = len(method)
            if head[end : end + 1] != b" " or not _LETTER.match(payload.data, end + 1):
                continue
        handler(view, _cseq(view)[0])
        return


def _response(view: View, handlers: Mapping[bytes, Response]) -> None:
    """Spec 1.6 and 1.8: run the handler of the method that CSeq names."""
    payload = view.payload
    code = payload.number(len(b"SIP/2.0 ")).value
    if not code:
        view.context.drop("a response without a status code")
    cseq, end = _cseq(view)
    named = payload.data[end + 1 : end + 9].upper()
    for method, handler in handlers.items():
        if named.startswith(method):
            handler(view, cseq, code)
            return


def _invite(view: View, cseq: int) -> None:
    kernel = view.settings.kernel
    if kernel.invite_flushes:
        view.memory.expectations.flush(view.flow, view.context, media=True)
    if process_sdp(view) or not kernel.cseq_needs_media:
        view.flow.invite_cseq = cseq


def _offer_or_answer(view: View, _: int) -> None:
    process_sdp(view)


def _bye(view: View, _: int) -> None:
    view.memory.expectations.flush(view.flow, view.context, media=True)


def _bye_or_cancel(view: View, cseq: int) -> None:
    """Broadcom's change: media flows that have begun end soon, those of the phone's other calls too."""
    view.memory.expectations.shorten(view.flow, view.context, _ENDED)
    _bye(view, cseq)


def _answered(view: View, cseq: int, code: int) -> None:
    if 100 <= code <= 299:
        process_sdp(view)
    elif view.flow.invite_cseq == cseq:
        view.memory.expectations.flush(view.flow, view.context, media=True)


LINUX: Final = Methods(
    requests={
        b"INVITE": _invite,
        b"UPDATE": _offer_or_answer,
        b"ACK": _offer_or_answer,
        b"PRACK": _offer_or_answer,
        b"BYE": _bye,
        b"REGISTER": register_request,
    },
    responses={
        b"INVITE": _answered,
        b"UPDATE": _answered,
        b"PRACK": _answered,
        b"REGISTER": register_response,
    },
)

# Of Broadcom's software 5.02, kernel 4.1.
BROADCOM: Final = Methods(
    requests={**LINUX.requests, b"BYE": _bye_or_cancel, b"CANCEL": _bye_or_cancel},
    responses=LINUX.responses,
)
