"""What Netgear's module kmod-dnisip adds: answers sent to the port in a phone's Via reach the phone."""

from __future__ import annotations

from typing import Final

from siplab.alg_models.exact._linux.expectations import Kind
from siplab.alg_models.exact._linux.flow import View
from siplab.alg_models.exact._linux.helper import LINUX, Methods, Request
from siplab.alg_models.exact._linux.register import expect_calls, write_contact
from siplab.alg_models.exact._linux.scan import VIA_TCP, VIA_UDP

_WAITING: Final = 60.0  # seconds, anew with each request


def _expect_answers(view: View) -> None:
    """If the Via names another port of the sender, write a port of the router that leads there."""
    via = view.payload.uri(VIA_TCP if view.tcp else VIA_UDP)
    if via is None or via.endpoint is None or not view.nat:
        return
    if via.endpoint.ip != view.source.ip or via.endpoint.port == view.source.port:
        return
    source = view.new_destination.ip
    write_contact(view, via, expect_calls(view, via.endpoint, source, _WAITING, active=True, kind=Kind.VIA))


def _via_first(handler: Request) -> Request:
    def handle(view: View, cseq: int) -> None:
        _expect_answers(view)
        handler(view, cseq)

    return handle


DNISIP: Final = Methods(
    requests={method: _via_first(handler) for method, handler in LINUX.requests.items()},
    responses=LINUX.responses,
)
