"""Changing the model of a router while traffic passes: what the new one gets, and what stays of the old."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal

import pytest

from siplab.alg_models.controls import CORRECT, NONE
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.sides import Side
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint

if TYPE_CHECKING:
    from tests.lab.gateway.conftest import Router, RouterMaker

PHONE, SERVER = Endpoint("192.168.1.20", 5060), Endpoint("198.51.100.10", 5060)
OTHER = Endpoint("192.168.1.30", 5060)
MEDIA, FAR_MEDIA = Endpoint("192.168.1.20", 49170), Endpoint("198.51.100.20", 30000)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.168.1.20\r\ns=-\r\nc=IN IP4 192.168.1.20\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\n"
)


def message(host: str, method: str = "OPTIONS", body: bytes = b"") -> bytes:
    head = (
        f"{method} sip:bob@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bK1;rport\r\n"
        f"From: <sip:a@lab.test>;tag=1\r\nTo: <sip:bob@lab.test>\r\nCall-ID: 1@{host}\r\nCSeq: 1 {method}\r\n"
        f"Contact: <sip:a@{host}:5060>\r\n"
    )
    if body:
        head += "Content-Type: application/sdp\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def changes(router: Router, source: Endpoint) -> bool:
    """Whether the Contact of a request from ``source`` is translated."""
    left = router.crossed(ip.udp(source, SERVER, message(source.ip)), Side.INSIDE)
    return b"Contact: <sip:a@203.0.113.7:" in left.payload


def swap(router: Router, model: object, flows: Literal["all", "new"] = "all") -> None:
    router.gateway.swap(model, random.Random(2), router.now, flows=flows)  # type: ignore[arg-type]


@pytest.mark.parametrize("flows", ["all", "new"])
def test_who_gets_the_new_model(new_router: RouterMaker, flows: Literal["all", "new"]) -> None:
    router = new_router(NONE)
    assert not changes(router, PHONE)
    swap(router, CORRECT, flows)
    assert router.gateway.model is CORRECT
    assert changes(router, PHONE) == (flows == "all")
    assert changes(router, OTHER)


def test_the_binding_stays_and_its_port(new_router: RouterMaker) -> None:
    router = new_router(CORRECT)
    before = router.crossed(ip.udp(PHONE, SERVER, message(PHONE.ip)), Side.INSIDE).source
    swap(router, NONE)
    assert router.crossed(ip.udp(PHONE, SERVER, message(PHONE.ip)), Side.INSIDE).source == before
    assert router.crossed(ip.udp(SERVER, before, b"x"), Side.OUTSIDE).destination == PHONE


def test_a_flow_that_went_on_gets_the_new_model_when_its_binding_has_ended(new_router: RouterMaker) -> None:
    router = new_router(NONE, udp_timeout=30)
    assert not changes(router, PHONE)
    swap(router, CORRECT, "new")
    assert not changes(router, PHONE)
    router.now += 31
    assert changes(router, PHONE)


def test_pinholes_live_on_under_no_model_until_their_timers_run_out(new_router: RouterMaker) -> None:
    router = new_router(CORRECT)
    left = router.crossed(ip.udp(PHONE, SERVER, message(PHONE.ip, "INVITE", SDP)), Side.INSIDE)
    port = int(left.payload.partition(b"m=audio ")[2].split()[0])
    public = Endpoint("203.0.113.7", port)
    assert router.crossed(ip.udp(FAR_MEDIA, public, b"early"), Side.OUTSIDE).destination == MEDIA
    swap(router, NONE)
    assert router.crossed(ip.udp(FAR_MEDIA, public, b"media"), Side.OUTSIDE).destination == MEDIA
    router.now += 90_000
    fate, _ = router.end(ip.udp(FAR_MEDIA, public, b"late"), Side.OUTSIDE)
    assert fate in (Fate.NO_BINDING, Fate.FILTERED)


def test_the_memory_starts_empty(new_router: RouterMaker) -> None:
    router = new_router(CORRECT)
    router.gateway._treatment.alg.memory["call"] = 1
    swap(router, CORRECT)
    assert router.gateway._treatment.alg.memory == {}


def test_a_tcp_connection_stays_with_the_model_that_shifts_its_sequence_numbers(
    new_router: RouterMaker,
) -> None:
    router = new_router(CORRECT)
    text = message(PHONE.ip).replace(b"UDP", b"TCP").replace(b":5060", b"")  # so that it grows
    syn = router.crossed(ip.tcp(PHONE, SERVER, seq=0, flags=ip.SYN), Side.INSIDE)
    router.crossed(ip.tcp(SERVER, syn.source, seq=0, ack=1, flags=ip.SYN | ip.ACK), Side.OUTSIDE)
    first = router.crossed(ip.tcp(PHONE, SERVER, text, seq=1, ack=1), Side.INSIDE)
    grown = len(first.payload) - len(text)
    assert grown > 0
    for model in (NONE, CORRECT, NONE):
        swap(router, model)
        again = router.crossed(ip.tcp(PHONE, SERVER, text, seq=1, ack=1), Side.INSIDE)
        assert (again.seq, again.payload) == (1, first.payload)
    next_one = router.crossed(ip.tcp(PHONE, SERVER, b"\r\n\r\n", seq=1 + len(text), ack=1), Side.INSIDE)
    assert next_one.seq == 1 + len(text) + grown


def test_a_reboot_takes_old_models_along(new_router: RouterMaker) -> None:
    router = new_router(NONE)
    changes(router, PHONE)
    swap(router, CORRECT, "new")
    router.gateway.reboot()
    assert changes(router, PHONE)
