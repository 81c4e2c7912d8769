"""Faults in header fields: what their examples can't show, and that nothing else is wrong."""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models.catalogue import load
from siplab.alg_models.controls import CORRECT, NONE
from siplab.alg_models.faults import (
    contact_first_only,
    contact_inbound_clobbered,
    contact_params_lost,
    contact_port_appended,
    contact_portless_ignored,
    contact_wrong_port,
    digest_uri_mismatch,
    expires_altered,
    fromto_rewrite_asymmetric,
    identity_header_stripped,
    record_route_ignored,
    record_route_mangled,
    refer_headers_ignored,
    reply_port_forced,
    ruri_not_restored,
    sdp_line_injected,
    substring_ip_match,
    via_added_proxy,
    via_branch_altered,
    via_not_restored_some_codes,
    via_rport_stripped,
)
from siplab.alg_models.samples import all_samples, basic, cross, gateway_for, headers
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Side
from siplab.lab.gateway.inspection import Alg, Inspection
from siplab.lab.gateway.nat import Nat
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.wire import ip
from siplab.lab.wire.headers import vias
from siplab.lab.wire.ip import TCP, UDP, Endpoint
from siplab.lab.wire.sdp import Sdp
from siplab.lab.wire.sip import SipMessage

if TYPE_CHECKING:
    from tests.alg_models.conftest import LineMaker

PHONE, SECOND = Endpoint("192.168.1.20", 5060), Endpoint("192.168.1.21", 5060)
SERVER, PUBLIC = Endpoint("198.51.100.10", 5060), Endpoint("203.0.113.7", 61002)
VIA = b"Via: SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74"
LIMIT = 4096  # what a model may remember


def message(start: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    head = [start, *lines, b"Content-Length: %d" % len(body)]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def request(*lines: bytes, method: bytes = b"OPTIONS", uri: bytes = b"sip:bob@lab.test") -> bytes:
    return message(method + b" " + uri + b" SIP/2.0", *lines, b"Call-ID: 1", b"CSeq: 1 " + method)


def echo(seen: bytes, status: bytes = b"200 OK") -> bytes:
    return b"SIP/2.0 " + status + b"\r\n" + seen.partition(b"\r\n")[2]


def values(payload: bytes, name: bytes) -> list[bytes]:
    return [field.value for field in SipMessage.parse(payload).all(name)]


def value(payload: bytes, name: bytes) -> bytes:
    (found,) = values(payload, name)
    return found


class Bench:
    """A model at work on messages of one flow, without packets around them."""

    def __init__(self, model: Model, inside: Endpoint = PHONE, protocol: int = UDP) -> None:
        config = NatConfig(port_allocation=PortAllocation.SEQUENTIAL, first_port=PUBLIC.port)
        nat = Nat(config, PUBLIC.ip, random.Random(0))
        self.alg = Alg(
            model, nat, lambda: random.Random(0), lambda text: text.startswith("192.168."), "192.168.1.1"
        )
        self.protocol = protocol
        self.inside = inside
        self.work: Inspection

    def pass_on(
        self, payload: bytes, *, outbound: bool, inside: Endpoint | None = None, remote: Endpoint = SERVER
    ) -> bytes | None:
        near = inside or self.inside
        binding = self.alg.nat.outbound(self.protocol, near, remote, 0.0)
        self.work = Inspection(self.alg, self.protocol, near, binding.outside, remote, binding, 0.0)
        result = self.work.rewrite(payload, outbound)
        assert self.work.error == ""
        return result

    def out(self, payload: bytes, inside: Endpoint | None = None, remote: Endpoint = SERVER) -> bytes:
        result = self.pass_on(payload, outbound=True, inside=inside, remote=remote)
        assert result is not None
        return result

    def back(self, payload: bytes, inside: Endpoint | None = None, remote: Endpoint = SERVER) -> bytes:
        result = self.pass_on(payload, outbound=False, inside=inside, remote=remote)
        assert result is not None
        return result


def variant(model: Model, **parameters: object) -> Model:
    return model.with_parameters(parameters)


# -- a model differs from the ALG that it builds on only by its fault --------------------------------------

TOUCHED: tuple[tuple[Model, set[str]], ...] = (
    (substring_ip_match.MODEL, {"contact", "body c", "body o", "body m", "content-length"}),
    (via_rport_stripped.MODEL, {"via"}),
    (via_branch_altered.MODEL, {"via"}),
    (via_not_restored_some_codes.MODEL, {"via"}),
    (via_added_proxy.MODEL, {"via", "max-forwards", "content-length"}),
    (reply_port_forced.MODEL, {"via", "contact"}),
    (contact_wrong_port.MODEL, {"contact"}),
    (contact_params_lost.MODEL, {"contact"}),
    (contact_portless_ignored.MODEL, {"contact"}),
    (contact_port_appended.MODEL, {"contact"}),
    (contact_first_only.MODEL, {"contact"}),
    (contact_inbound_clobbered.MODEL, {"contact"}),
    (ruri_not_restored.MODEL, {"start line"}),
    (fromto_rewrite_asymmetric.MODEL, {"from"}),
    (record_route_ignored.MODEL, {"record-route"}),
    (record_route_mangled.MODEL, {"record-route"}),
    (refer_headers_ignored.MODEL, {"refer-to"}),
    (variant(refer_headers_ignored.MODEL, mode="replaces"), {"call-id"}),
    (identity_header_stripped.MODEL, {"p-asserted-identity"}),
    (digest_uri_mismatch.MODEL, {"start line"}),
    (expires_altered.MODEL, {"expires", "contact"}),
    (variant(expires_altered.MODEL, of="response", seconds=3600), {"contact"}),
    (sdp_line_injected.MODEL, {"body i", "content-length"}),
)


def parts(payload: bytes) -> Counter[tuple[str, bytes]]:
    """The lines of a message, each with its kind."""
    parsed = SipMessage.parse(payload)
    found = Counter({("start line", parsed.start_line): 1})
    found.update((field.name.decode(), field.raw) for field in parsed.fields)
    for section in Sdp.parse(parsed.body).sections:
        found.update(("body " + line.type.decode(), line.raw) for line in section.lines)
        if section.media is not None:
            found["body m", section.media.raw] += 1
    return found


@pytest.mark.parametrize(("model", "expected"), TOUCHED, ids=[model.id for model, _ in TOUCHED])
def test_the_rest_is_as_the_alg_beneath_makes_it(model: Model, expected: set[str]) -> None:
    beneath = CORRECT if model.recipe.base else NONE
    touched: set[str] = set()
    for name in all_samples():
        if name not in basic.SAMPLES and name not in headers.SAMPLES:
            continue
        plain, faulty = cross(beneath, name).after, cross(model, name).after
        if not faulty:
            assert (model.id, name) == (via_added_proxy.MODEL.id, "headers-last-hop")
            continue
        mine, theirs = parts(faulty), parts(plain)
        touched |= {kind for kind, _ in (mine - theirs) + (theirs - mine)}
        parsed = SipMessage.parse(faulty)
        assert parsed.content_length == len(parsed.body)
    assert touched == expected


def test_each_fault_of_the_list_is_in_the_catalogue() -> None:
    catalogue = load(plugins=False)
    for model, _ in TOUCHED:
        found = catalogue.get(model.id)
        # What a model breaks is measured; only the catalogue has these results.
        assert replace(found, card=replace(found.card, breaks=(), sufferers=())) == model


# -- substring-ip-match --------------------------------------------------------------------------------


@given(own=st.integers(1, 254), other=st.integers(1, 254))
@settings(deadline=None)
def test_only_longer_addresses_that_begin_so_are_taken_for_ones_own(own: int, other: int) -> None:
    bench = Bench(substring_ip_match.MODEL, Endpoint(f"192.168.1.{own}", 5060))
    honest = Bench(CORRECT, Endpoint(f"192.168.1.{own}", 5060))
    sent = request(b"Contact: <sip:x@192.168.1.%d:5060>" % other, b"X: 192.168.1.%d" % other)
    longer = own != other and str(other).startswith(str(own))
    seen = bench.out(sent)
    assert (seen != honest.out(sent)) is longer
    assert b"X: 192.168.1.%d\r\n" % other in seen
    if longer:
        tail = str(other)[len(str(own)) :].encode()
        assert value(seen, b"contact") == b"<sip:x@203.0.113.7" + tail + b":5060>"
        assert bench.back(echo(seen)) == echo(sent), "both ways: the answer has the phone's own text"
        one_way = Bench(variant(substring_ip_match.MODEL, ways="out"), bench.inside)
        assert value(one_way.back(echo(one_way.out(sent))), b"contact") == value(seen, b"contact")


def test_an_address_that_only_ends_so_is_not_mistaken() -> None:
    bench = Bench(substring_ip_match.MODEL, Endpoint("192.168.1.2", 5060))
    sent = request(b"Contact: <sip:x@92.192.168.1.20>, <sip:y@1192.168.1.20>")
    assert bench.out(sent) == sent


def test_a_far_address_that_begins_like_the_public_one_is_mistaken_inbound() -> None:
    bench = Bench(substring_ip_match.MODEL)
    far = b"Contact: <sip:bob@203.0.113.77:5060>"
    assert b"<sip:bob@192.168.1.207:5060>" in bench.back(request(far))
    assert far in Bench(variant(substring_ip_match.MODEL, ways="out")).back(request(far))


# -- Via -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b";rport;branch=z", b";branch=z"),
        (b";branch=z;rport", b";branch=z"),
        (b";branch=z; RPORT ;x=1", b";branch=z ;x=1"),
        (b";rport=5060;branch=z", b";branch=z"),
        (b";rport = 5060 ;branch=z", b" ;branch=z"),
        (b";rport\r\n ;branch=z", b"\r\n ;branch=z"),
        (b";rportx;xrport;branch=rport", b";rportx;xrport;branch=rport"),
        (b';x=";rport";branch=z', b';x=";rport";branch=z'),
        (b";rport;branch=z, SIP/2.0/UDP h;rport;branch=y", b";branch=z, SIP/2.0/UDP h;rport;branch=y"),
    ],
)
@pytest.mark.parametrize("name", [b"Via: ", b"v:", b"VIA : "])
def test_rport_is_stripped_however_it_is_written(name: bytes, before: bytes, after: bytes) -> None:
    bench = Bench(via_rport_stripped.MODEL)
    below = b"Via: SIP/2.0/UDP h;rport;branch=below"
    start = name + b"SIP/2.0/UDP 192.168.1.20:5060"
    assert bench.out(request(start + before, below)) == request(start + after, below)


def test_rport_of_answers_and_of_requests_coming_in_stays() -> None:
    bench = Bench(via_rport_stripped.MODEL)
    answer = echo(request(VIA))
    assert bench.out(answer) == answer
    assert bench.back(answer) == answer
    assert bench.back(request(VIA)) == request(VIA)


def test_requests_of_one_transaction_keep_one_branch_and_answers_keep_the_wrong_one() -> None:
    for model in (via_branch_altered.MODEL, via_added_proxy.MODEL):
        bench = Bench(model)
        seen = [bench.out(request(VIA, method=each)) for each in (b"INVITE", b"INVITE", b"CANCEL", b"ACK")]
        assert len({vias(values(each, b"via")[0])[0].branch for each in seen}) == 1
        other = bench.out(request(VIA.replace(b"74", b"75")))
        assert values(other, b"via")[0] != values(seen[0], b"via")[0]
    bench = Bench(via_branch_altered.MODEL)
    answer = bench.back(echo(bench.out(request(VIA))))
    assert value(answer, b"via") == b"SIP/2.0/UDP 192.168.1.20:5060;rport;branch=z9hG4bK74-203"


def test_branches_below_the_top_and_of_answers_going_out_stay() -> None:
    bench, honest = Bench(via_branch_altered.MODEL), Bench(CORRECT)
    far = request(b"Via: SIP/2.0/UDP 198.51.100.10;branch=z9hG4bK1")
    assert bench.back(far) == honest.back(far)
    assert bench.out(echo(far)) == honest.out(echo(far))
    several = request(VIA, b"Via: SIP/2.0/UDP h;branch=z9hG4bK2")
    assert values(bench.out(several), b"via")[1] == b"SIP/2.0/UDP h;branch=z9hG4bK2"


@pytest.mark.parametrize("text", [b";branch=z9", b"; BRANCH = z9", b";branch=z9;branch=y"])
def test_a_removed_branch_leaves_no_trace(text: bytes) -> None:
    bench = Bench(variant(via_branch_altered.MODEL, mode="removed"))
    seen = bench.out(request(b"Via: SIP/2.0/UDP 192.168.1.20:5060" + text + b";rport"))
    assert value(seen, b"via") == b"SIP/2.0/UDP 203.0.113.7:61002;rport"


@pytest.mark.parametrize("status", [100, 180, 181, 183, 200, 202, 302, 401, 404, 407, 486, 500, 603])
@pytest.mark.parametrize("method", [b"REGISTER", b"INVITE", b"BYE"])
def test_via_comes_back_or_not_by_the_status_code(status: int, method: bytes) -> None:
    bench = Bench(via_not_restored_some_codes.MODEL)
    sent = request(VIA, b"Contact: <sip:a@192.168.1.20:5060>", method=method)
    seen = bench.out(sent)
    answer = bench.back(echo(seen, b"%d X" % status))
    kept = status in (100, 180, 183, 200)
    assert value(answer, b"via") == value(seen if kept else sent, b"via")
    assert value(answer, b"contact") == value(sent, b"contact"), "other headers are restored in all"


# -- via-added-proxy -----------------------------------------------------------------------------------


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("model", [via_added_proxy.MODEL, variant(via_added_proxy.MODEL, fingerprint=False)])
def test_the_added_via_is_taken_off_the_answer(model: Model, joined: bool) -> None:
    bench = Bench(model)
    seen = bench.out(request(VIA))
    top, below = values(seen, b"via")
    assert top.startswith(b"SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK")
    assert below == VIA[5:], "the phone's own is not translated"
    answer = echo(seen)
    if joined:  # as RFC 3261 section 7.3.1 allows a server to write them
        answer = answer.replace(b"\r\nVia: " + below, b", " + below)
    assert values(bench.back(answer), b"via") == [VIA[5:]]


def test_a_via_that_is_not_the_routers_stays() -> None:
    bench = Bench(via_added_proxy.MODEL)
    for top in (
        b"SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bKother",
        b"SIP/2.0/UDP 198.51.100.9;branch=z9hG4bK1",
    ):
        answer = echo(request(b"Via: " + top, VIA))
        assert values(bench.back(answer), b"via") == [top, VIA[5:]]
    for nothing in (echo(request()), echo(request(b"Via: rubbish")), request(VIA)):
        assert bench.back(nothing) == nothing


def test_the_fingerprint_is_optional() -> None:
    lines = (VIA, b"Max-Forwards: 7", b"From: <sip:a@h>;tag=1", b"To: <sip:b@h>")
    plain = Bench(variant(via_added_proxy.MODEL, fingerprint=False)).out(request(*lines))
    assert plain.split(b"\r\n")[2:6] == [VIA, b"Max-Forwards: 6", *lines[2:]]
    marked = Bench(via_added_proxy.MODEL).out(request(*lines))
    assert marked.split(b"\r\n")[2:6] == [VIA, b"max-forwards: 6", lines[3], lines[2]]
    assert b"Content-Length:     0\r\n" in marked
    assert SipMessage.parse(marked).content_length == 0


def test_the_added_via_names_the_transport() -> None:
    seen = Bench(via_added_proxy.MODEL, protocol=TCP).out(request(VIA.replace(b"UDP", b"TCP")))
    assert values(seen, b"via")[0].startswith(b"SIP/2.0/TCP 203.0.113.7:")


def test_the_added_via_comes_and_goes_over_ipv6_too() -> None:
    phone, server = Endpoint("2001:db8:1::20", 5060), Endpoint("2001:db8:9::10", 5060)
    sent = request(b"Via: SIP/2.0/UDP [2001:db8:1::20]:5060;branch=z9hG4bK74")
    gateway = gateway_for(via_added_proxy.MODEL)
    (out,) = gateway.handle(ip.udp(phone, server, sent), Side.INSIDE, 0.0)
    seen = ip.parse(out.packet).payload
    assert len(values(seen, b"via")) == 2
    (back,) = gateway.handle(ip.udp(server, phone, echo(seen)), Side.OUTSIDE, 0.1)
    assert value(ip.parse(back.packet).payload, b"via") == value(sent, b"via")


def test_no_hop_left() -> None:
    sent = request(VIA, b"Max-Forwards: 0", b"From: <sip:a@h>;tag=1", b"To: <sip:b@h>")
    bench = Bench(via_added_proxy.MODEL)
    assert bench.pass_on(sent, outbound=True) is None
    (answer,) = bench.work.answers
    assert answer.startswith(b"SIP/2.0 483 Too Many Hops\r\n")
    for name in (b"via", b"from", b"call-id", b"cseq"):
        assert value(answer, name) == value(sent, name)
    assert re.fullmatch(rb"<sip:b@h>;tag=\w+", value(answer, b"to"))
    ack = request(VIA, b"Max-Forwards: 0", method=b"ACK")
    assert bench.pass_on(ack, outbound=True) is None
    assert bench.work.answers == [], "an ACK is never answered"
    inbound = request(b"Via: SIP/2.0/UDP 198.51.100.10;branch=z9hG4bK1", b"Max-Forwards: 0")
    assert bench.back(inbound) == inbound
    for unreadable in (b"Max-Forwards: many", b"Max-Forwards:"):
        assert unreadable in bench.out(request(VIA, unreadable))


# -- reply-port-forced ---------------------------------------------------------------------------------


def delivered(model: Model, source_port: int, via_port: bytes) -> int:
    """The inside port that an answer to a phone reaches."""
    gateway = gateway_for(model)
    source = Endpoint(PHONE.ip, source_port)
    sent = request(VIA.replace(b":5060", via_port))
    (out,) = gateway.handle(ip.udp(source, SERVER, sent), Side.INSIDE, 0.0)
    left = ip.parse(out.packet)
    back = ip.udp(SERVER, left.source, echo(left.payload))
    (arrived,) = gateway.handle(back, Side.OUTSIDE, 0.1)
    assert arrived.side is Side.INSIDE
    return ip.parse(arrived.packet).dport


@pytest.mark.parametrize(
    ("source_port", "via_port", "forced"),
    [
        (40000, b":5060", 5060),
        (40000, b"", 5060),
        (40000, b":5070", 5070),
        (5060, b":5060", 5060),
        (5060, b"", 5060),
    ],
)
def test_answers_reach_the_port_of_via(source_port: int, via_port: bytes, forced: int) -> None:
    assert delivered(reply_port_forced.MODEL, source_port, via_port) == forced
    assert delivered(CORRECT, source_port, via_port) == source_port


@pytest.mark.parametrize("via_port", [b":0", b":65536", b":999999999"])
def test_a_port_that_is_none_forces_nothing(via_port: bytes) -> None:
    assert delivered(reply_port_forced.MODEL, 40000, via_port) == 40000


def test_other_flows_are_not_forced() -> None:
    high = Endpoint(PHONE.ip, 40000)
    bench = Bench(reply_port_forced.MODEL, high)
    bench.out(request(VIA))
    bench.back(echo(request(VIA)))
    assert bench.work.deliver_to == PHONE
    bench.back(echo(request(VIA)), remote=Endpoint("198.51.100.11", 5060))
    assert bench.work.deliver_to is None
    stranger = Bench(reply_port_forced.MODEL, high)
    stranger.out(request(VIA.replace(b".20", b".21")))
    stranger.out(echo(request(VIA)))
    stranger.back(echo(request(VIA)))
    assert stranger.work.deliver_to is None, "neither another host's Via nor an answer's counts"
    tcp = Bench(reply_port_forced.MODEL, high, TCP)
    tcp.out(request(VIA.replace(b"UDP", b"TCP")))
    tcp.back(echo(request(VIA)))
    assert tcp.work.deliver_to is None


# -- Contact -------------------------------------------------------------------------------------------


def test_the_wrong_port_is_not_undone() -> None:
    bench = Bench(contact_wrong_port.MODEL)
    sent = request(
        b"Contact: <sip:a@192.168.1.20:5060;line=1>, <sip:b@192.0.2.9:5062>", b"Route: <sip:192.168.1.20>"
    )
    seen = bench.out(sent)
    assert value(seen, b"contact") == b"<sip:a@203.0.113.7:5060;line=1>, <sip:b@192.0.2.9:5062>"
    assert value(seen, b"route") == b"<sip:203.0.113.7:61002>"
    assert value(bench.back(echo(seen)), b"contact") == value(seen, b"contact")


def test_the_wrong_port_is_right_where_the_router_preserves_ports(new_line: LineMaker) -> None:
    wrong, right = (new_line(model, preserve=True) for model in (contact_wrong_port.MODEL, CORRECT))
    assert wrong.out(basic.REGISTER) == right.out(basic.REGISTER)


@pytest.mark.parametrize(
    ("written", "all_lost", "uri_lost", "header_lost"),
    [
        (b"<sip:a@P;line=1>;q=1", b"<sip:a@P>", b"<sip:a@P>;q=1", b"<sip:a@P;line=1>"),
        (b'",;<" <sip:a@P;ob>;q=1', b'",;<" <sip:a@P>', b'",;<" <sip:a@P>;q=1', b'",;<" <sip:a@P;ob>'),
        (b"sip:a@P;expires=60", b"sip:a@P", b"sip:a@P;expires=60", b"sip:a@P"),
        (b"<sip:a@P;x=1>;q=1,<sip:b@h;y=2>", b"<sip:a@P>,<sip:b@h;y=2>", b"<sip:a@P>;q=1,<sip:b@h;y=2>",
         b"<sip:a@P;x=1>,<sip:b@h;y=2>"),
        (b"<sip:b@h;y=2>;q=2", b"<sip:b@h;y=2>;q=2", b"<sip:b@h;y=2>;q=2", b"<sip:b@h;y=2>;q=2"),
        (b"<sip:a@P;x=1", b"<sip:a@P", b"<sip:a@P;x=1", b"<sip:a@P"),
        (b"*", b"*", b"*", b"*"),
    ],
)  # fmt: skip
def test_which_parameters_are_lost(
    written: bytes, all_lost: bytes, uri_lost: bytes, header_lost: bytes
) -> None:
    sent = request(b"Contact: " + written.replace(b"P", b"192.168.1.20:5060"))
    for lost, expected in (("all", all_lost), ("uri", uri_lost), ("header", header_lost)):
        seen = Bench(variant(contact_params_lost.MODEL, lost=lost)).out(sent)
        assert value(seen, b"contact") == expected.replace(b"P", b"203.0.113.7:61002")


def test_parameters_of_contacts_coming_in_stay() -> None:
    bench = Bench(contact_params_lost.MODEL)
    assert b"<sip:a@192.168.1.20:5060;ob>;expires=9" in bench.back(
        echo(request(b"Contact: <sip:a@203.0.113.7:61002;ob>;expires=9"))
    )


def test_only_a_contact_without_port_is_ignored() -> None:
    bench = Bench(contact_portless_ignored.MODEL)
    sent = request(
        b"m: <sip:a@192.168.1.20>, <sip:b@192.168.1.20:5060>;q=1,sip:c@192.168.1.21;expires=3",
        b"Path: <sip:192.168.1.20;lr>",
    )
    seen = bench.out(sent)
    assert value(seen, b"contact") == (
        b"<sip:a@192.168.1.20>, <sip:b@203.0.113.7:61002>;q=1,sip:c@192.168.1.21;expires=3"
    )
    assert value(seen, b"path") == b"<sip:203.0.113.7:61002;lr>"
    assert value(bench.back(echo(seen)), b"contact") == value(sent, b"contact")


def test_a_port_is_appended_to_contact_only() -> None:
    bench = Bench(contact_port_appended.MODEL)
    sent = request(
        VIA.replace(b":5060", b""), b"Contact: <sip:a@192.168.1.20>;q=1", b"Path: <sip:192.168.1.20>"
    )
    answer = bench.back(echo(bench.out(sent)))
    assert value(answer, b"contact") == b"<sip:a@192.168.1.20:5060>;q=1"
    assert value(answer, b"via") == value(sent, b"via")
    assert value(answer, b"path") == value(sent, b"path")
    honest = Bench(CORRECT)
    assert honest.back(echo(honest.out(sent))) == echo(sent)
    with_port = request(VIA, b"Contact: <sip:a@192.168.1.20:5060>")
    assert bench.back(echo(bench.out(with_port))) == echo(with_port)


@pytest.mark.parametrize("second", [b"Contact: ", b"m: "])
def test_contacts_behind_the_first_stay_private(second: bytes) -> None:
    bench = Bench(contact_first_only.MODEL)
    line = b"<sip:b@192.168.1.21:5060>, <sip:c@192.168.1.20:5060>"
    sent = request(b"Contact: <sip:x@192.0.2.9>, <sip:a@192.168.1.20:5060>", second + line)
    assert bench.out(sent) == sent, "the first is a stranger's, and no other is looked at"
    sent = request(b"Contact: <sip:a@192.168.1.20:5060>", second + line)
    seen = bench.out(sent)
    assert values(seen, b"contact") == [b"<sip:a@203.0.113.7:61002>", line]
    assert bench.back(echo(seen)) == echo(sent)


def clobbered(payload: bytes, *, outbound: bool = False) -> bytes:
    result = Bench(contact_inbound_clobbered.MODEL).pass_on(payload, outbound=outbound)
    assert result is not None
    return value(result, b"contact")


def test_which_contacts_are_clobbered() -> None:
    far, own = b"<sip:bob@198.51.100.20:5060;x=1>;y=2", b"<sip:bob@192.168.1.1:5060;x=1>;y=2"
    contact = b"Contact: " + far
    for method in (b"INVITE", b"SUBSCRIBE", b"UPDATE", b"NOTIFY"):
        assert clobbered(request(contact, method=method)) == own
        assert clobbered(echo(request(contact, method=method))) == own
        assert clobbered(echo(request(contact, method=method), b"302 Moved")) == far
    assert clobbered(echo(request(contact, method=b"REGISTER"))) == far
    assert clobbered(request(contact), outbound=True) == far
    assert clobbered(request(b"Contact: <sip:bob@far.test>")) == b"<sip:bob@192.168.1.1:5060>"
    assert clobbered(request(b"Contact: <sip:a@203.0.113.7:61002>")) == b"<sip:a@192.168.1.20:5060>"


# -- Request-URI, From and To, routes ----------------------------------------------------------------------


def test_the_request_uri_of_requests_going_out_is_translated() -> None:
    bench, honest = Bench(ruri_not_restored.MODEL), Bench(CORRECT)
    sent = request(uri=b"sip:carol@192.168.1.21:5060")
    seen = bench.out(sent)
    assert seen == honest.out(sent)
    assert SipMessage.parse(seen).request_uri.startswith(b"sip:carol@203.0.113.7:")
    called = SipMessage.parse(seen).request_uri
    assert SipMessage.parse(bench.back(request(uri=called))).request_uri == called
    assert SipMessage.parse(honest.back(request(uri=called))).request_uri == b"sip:carol@192.168.1.21:5060"


def test_from_and_to_stay_public_in_the_dialog() -> None:
    bench, honest = Bench(fromto_rewrite_asymmetric.MODEL), Bench(CORRECT)
    for address in (b"192.168.1.20", b"192.168.1.20:5060"):
        sent = request(b"From: A <sip:a@" + address + b">;tag=1", b"To: <sip:b@lab.test>")
        seen = bench.out(sent)
        assert value(seen, b"from") == b"A <sip:a@203.0.113.7:61002>;tag=1"
        assert bench.back(echo(seen)) == echo(seen)
        assert honest.back(echo(honest.out(sent))) == echo(sent)
        later = request(
            b"From: <sip:b@lab.test>;tag=2", b"To: <sip:a@203.0.113.7:61002>;tag=1", method=b"BYE"
        )
        assert bench.back(later) == later
    for foreign in (b"From: <sip:a@lab.test>;tag=1", b"f: sip:a@192.0.2.1;tag=1", b"From: tel:1", b"From:"):
        assert bench.out(request(foreign)) == request(foreign)


def test_routes_other_than_record_route_are_translated() -> None:
    bench = Bench(record_route_ignored.MODEL)
    routes = (b"Route: <sip:192.168.1.20:5060;lr>", b"Path: <sip:192.168.1.20:5060;lr>")
    seen = bench.out(request(*routes, b"record-route: <sip:192.168.1.20:5060;lr>"))
    assert value(seen, b"record-route") == b"<sip:192.168.1.20:5060;lr>"
    assert value(seen, b"route") == value(seen, b"path") == b"<sip:203.0.113.7:61002;lr>"
    far = request(b"Record-Route: <sip:203.0.113.7:61002;lr>")
    assert bench.back(far) == far, "nor is it translated on the way in"


@pytest.mark.parametrize(
    ("route", "address", "lr"),
    [
        (b"<sip:198.51.100.10;lr>", b"<sip:203.0.113.7;lr>", b"<sip:198.51.100.10>"),
        (b"<sip:p.test:5070;lr=on;x=1>", b"<sip:203.0.113.7:5070;lr=on;x=1>", b"<sip:p.test:5070;x=1>"),
        (b"<sip:a.test;lr>,<sip:b.test;x=1;LR>", b"<sip:203.0.113.7;lr>,<sip:203.0.113.7;x=1;LR>",
         b"<sip:a.test>,<sip:b.test;x=1>"),
        (b"<sip:a.test;lrx=1>", b"<sip:203.0.113.7;lrx=1>", b"<sip:a.test;lrx=1>"),
        (b"rubbish", b"rubbish", b"rubbish"),
    ],
)  # fmt: skip
def test_how_record_route_is_mangled(route: bytes, address: bytes, lr: bytes) -> None:
    for mode, expected in (("address", address), ("lr", lr)):
        bench = Bench(variant(record_route_mangled.MODEL, mode=mode))
        far = request(b"Record-Route: " + route)
        assert value(bench.back(far), b"record-route") == expected
        assert value(bench.back(echo(far)), b"record-route") == expected
        assert bench.out(far) == far, "not on the way out"
        own = request(b"Record-Route: <sip:203.0.113.7:61002;lr>")
        assert value(bench.back(own), b"record-route") == b"<sip:192.168.1.20:5060;lr>"


# -- transfer, identity, digest, expires -------------------------------------------------------------------


def test_referred_by_stays_private_and_contact_does_not() -> None:
    bench = Bench(refer_headers_ignored.MODEL)
    sent = request(
        b"r: <sip:b@192.168.1.21>", b"b: <sip:a@192.168.1.20:5060>", b"m: <sip:a@192.168.1.20:5060>"
    )
    seen = bench.out(sent)
    assert value(seen, b"refer-to") == b"<sip:b@192.168.1.21>"
    assert value(seen, b"referred-by") == b"<sip:a@192.168.1.20:5060>"
    assert value(seen, b"contact") == b"<sip:a@203.0.113.7:61002>"


def test_call_id_is_rewritten_both_ways_and_replaces_is_not() -> None:
    bench = Bench(variant(refer_headers_ignored.MODEL, mode="replaces"))
    first = message(b"INVITE sip:b@lab.test SIP/2.0", b"Call-ID: c1@192.168.1.20", b"CSeq: 1 INVITE")
    seen = bench.out(first)
    assert value(seen, b"call-id") == b"c1@203.0.113.7"
    assert bench.back(echo(seen)) == echo(first)
    later = message(b"BYE sip:a@192.168.1.20:5060 SIP/2.0", b"i: c1@203.0.113.7", b"CSeq: 1 BYE")
    assert value(bench.back(later), b"call-id") == b"c1@192.168.1.20"
    foreign = message(b"BYE sip:a@192.168.1.20:5060 SIP/2.0", b"i: c2@203.0.113.7", b"CSeq: 1 BYE")
    assert bench.back(foreign) == foreign, "a Call-ID that this router did not make"
    replaces = b"Refer-To: <sip:b@192.168.1.20:5060?Replaces=c1%40192.168.1.20%3Bto-tag%3D1>"
    other = bench.out(request(replaces, b"Replaces: c1@192.168.1.20;to-tag=1", method=b"REFER"))
    assert value(other, b"refer-to") == b"<sip:b@203.0.113.7:61002?Replaces=c1%40192.168.1.20%3Bto-tag%3D1>"
    assert value(other, b"replaces") == b"c1@192.168.1.20;to-tag=1"


IDENTITIES = (
    b'P-Asserted-Identity: "B" <sip:+1@h>, <tel:+1>',
    b"P-Preferred-Identity: <sip:+1@h>",
    b"REMOTE-PARTY-ID: <sip:+1@h>;party=calling",
)


@pytest.mark.parametrize("outbound", [True, False])
def test_identity_goes_in_both_directions(outbound: bool) -> None:
    kept = (b"P-Asserted-Service: x", b"Privacy: none", b"Subject: P-Asserted-Identity: y")
    sent = request(*IDENTITIES, *kept)
    assert Bench(identity_header_stripped.MODEL).pass_on(sent, outbound=outbound) == request(*kept)
    masked = Bench(variant(identity_header_stripped.MODEL, mode="masked")).pass_on(sent, outbound=outbound)
    assert masked == request(
        *(
            line.partition(b":")[0] + b': "Anonymous" <sip:anonymous@anonymous.invalid>'
            for line in IDENTITIES
        ),
        *kept,
    )


@pytest.mark.parametrize(
    ("method", "uri", "by_address", "by_name"),
    [
        (
            b"REGISTER",
            b"sip:198.51.100.10:5060;x=1",
            b"sip:203.0.113.7:5060;x=1",
            b"sip:203.0.113.7:5060;x=1",
        ),
        (b"REGISTER", b"sip:lab.test", b"sip:lab.test", b"sip:203.0.113.7"),
        (b"REGISTER", b"sip:198.51.100.11", b"sip:198.51.100.11", b"sip:203.0.113.7"),
        (b"INVITE", b"sip:b@198.51.100.10", b"sip:b@198.51.100.10", b"sip:b@198.51.100.10"),
        (b"REGISTER", b"rubbish", b"rubbish", b"rubbish"),
    ],
)
def test_which_request_uris_change(method: bytes, uri: bytes, by_address: bytes, by_name: bytes) -> None:
    signed = b'Authorization: Digest username="a", uri="' + uri + b'"'
    sent = request(signed, method=method, uri=uri)
    for names, expected in ((False, by_address), (True, by_name)):
        bench = Bench(variant(digest_uri_mismatch.MODEL, names=names))
        assert bench.out(sent) == request(signed, method=method, uri=expected)
        assert bench.back(sent) == sent


def registration(*lines: bytes) -> bytes:
    return request(*lines, method=b"REGISTER")


EXPIRES = (b"Expires: 3600", b"Contact: <sip:a@h>;expires=120;q=1, <sip:b@h>; EXPIRES = 0, sip:c@h;expires=9")
ALTERED = (b"Expires: 77", b"Contact: <sip:a@h>;expires=77;q=1, <sip:b@h>; EXPIRES = 0, sip:c@h;expires=77")


def test_expires_of_requests() -> None:
    bench = Bench(variant(expires_altered.MODEL, seconds=77))
    assert bench.out(registration(*EXPIRES)) == registration(*ALTERED)
    for end in (
        b"Expires: 0",
        b"Expires: 00",
        b"Expires: never",
        b"Expires:",
        b"Contact: <sip:a@h?expires=9>",
    ):
        assert bench.out(registration(end)) == registration(end)
    for other in (request(*EXPIRES), echo(registration(*EXPIRES))):
        assert bench.out(other) == other
    assert bench.back(registration(*EXPIRES)) == registration(*EXPIRES)
    assert bench.back(echo(registration(*EXPIRES))) == echo(registration(*EXPIRES))


def test_expires_of_responses() -> None:
    bench = Bench(variant(expires_altered.MODEL, of="response", seconds=77))
    assert bench.back(echo(registration(*EXPIRES))) == echo(registration(*ALTERED))
    for other in (echo(registration(*EXPIRES), b"423 Interval Too Brief"), echo(request(*EXPIRES))):
        assert bench.back(other) == other
    assert bench.out(registration(*EXPIRES)) == registration(*EXPIRES)


def test_the_way_in_is_kept_for_the_lifetime_that_was_granted() -> None:
    """The phone reads an hour, but the router and the registrar use the registrar's 1000 s."""
    granted = headers.SHORT_LIVED_OK.replace(b"expires=120", b"expires=1000")
    for later, admitted in ((990.0, True), (1010.0, False)):
        gateway = gateway_for(variant(expires_altered.MODEL, of="response", seconds=3600))
        gateway.handle(ip.udp(PHONE, SERVER, basic.REGISTER), Side.INSIDE, 0.0)
        (emission,) = gateway.handle(ip.udp(SERVER, PUBLIC, granted), Side.OUTSIDE, 0.1)
        assert b";expires=3600" in emission.packet
        (emission,) = gateway.handle(ip.udp(SERVER, PUBLIC, basic.INCOMING), Side.OUTSIDE, later)
        assert (emission.side is Side.INSIDE) is admitted


# -- sdp-line-injected -------------------------------------------------------------------------------------


def injected(body: bytes, *, outbound: bool = True) -> bytes:
    result = Bench(sdp_line_injected.MODEL).pass_on(
        message(b"INVITE sip:b@h SIP/2.0", b"CSeq: 1 INVITE", body=body), outbound=outbound
    )
    parsed = SipMessage.parse(result or b"")
    assert parsed.content_length == len(parsed.body)
    return parsed.body


def test_where_the_line_goes() -> None:
    with_line_feeds = basic.SDP.replace(b"\r\n", b"\n")
    assert b"s=-\ni=(o=IN IP4 192.168.1.20)\nc=IN IP4 203.0.113.7\n" in injected(with_line_feeds)
    elsewhere = basic.SDP.replace(b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP4 192.168.1.99")
    assert b"i=(o=IN IP4 192.168.1.99)\r\n" in injected(elsewhere)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"s=-\r\n", b"s=-\r\ni=a talk\r\n"),
        (b"s=-\r\n", b""),
        (b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice 1 1 IN IP4 pc.example.org"),
        (b"o=alice 1 1 IN IP4 192.168.1.20", b"o=alice"),
        (b"o=alice 1 1 IN IP4 192.168.1.20\r\n", b""),
    ],
)
def test_descriptions_that_get_no_line(old: bytes, new: bytes) -> None:
    assert b"i=(o=" not in injected(basic.SDP.replace(old, new))


def test_no_line_is_added_or_removed_on_the_way_in() -> None:
    for body in (basic.FAR_SDP, basic.FAR_SDP.replace(b"s=-\r\n", b"s=-\r\ni=(o=IN IP4 10.0.0.1)\r\n")):
        assert injected(body, outbound=False) == body
    assert injected(b"v=0 is no description") == b"v=0 is no description"


# -- what is remembered is bounded -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model",
    [reply_port_forced.MODEL, variant(refer_headers_ignored.MODEL, mode="replaces")],
    ids=lambda each: each.id,
)
def test_memory_is_bounded(model: Model) -> None:
    bench = Bench(model, Endpoint(PHONE.ip, 40000))
    for number in range(LIMIT + 100):
        remote = Endpoint(f"198.51.{number // 250}.{number % 250 + 1}", 5060)
        sent = message(
            b"OPTIONS sip:b@h SIP/2.0", VIA, b"Call-ID: %d@192.168.1.20" % number, b"CSeq: 1 OPTIONS"
        )
        bench.out(sent, remote=remote)
    assert len(bench.alg.memory[model.fault]) == LIMIT
