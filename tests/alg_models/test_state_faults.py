"""Faults of state and time: what happens during a call, after an hour, over TCP, and what must not happen."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siplab.alg_models import samples
from siplab.alg_models.catalogue import load
from siplab.alg_models.controls import CORRECT, NONE
from siplab.alg_models.samples import PHONE, PUBLIC, REGISTRAR, RELAY, SECOND_PHONE, basic, state
from siplab.lab.gateway.alg import Model
from siplab.lab.gateway.gateway import Emission, Gateway, Side
from siplab.lab.gateway.nat_config import NatConfig, PortAllocation
from siplab.lab.wire import ip
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.sip import SipMessage

CATALOGUE = load(plugins=False)
OTHER_PORT = REGISTRAR._replace(port=5070)


@dataclass
class Home:
    """A router with a model; its methods return what phones and servers get through it."""

    model: Model
    now: float = 0.0
    nat: NatConfig | None = None
    gateway: Gateway = field(init=False)

    def __post_init__(self) -> None:
        self.gateway = samples.gateway_for(self.model)
        if self.nat is not None:
            self.gateway = Gateway(
                self.model,
                public_ip=PUBLIC.ip,
                inside_networks=["192.168.1.0/24"],
                nat=self.nat,
                rng=random.Random(0),
            )

    def send(self, data: bytes, side: Side) -> list[Emission]:
        emissions = self.gateway.handle(data, side, self.now)
        assert [each.error for each in emissions if each.error] == []
        return [each for each in emissions if each.side is not None]

    def out(self, payload: bytes, source: Endpoint = PHONE, target: Endpoint = REGISTRAR) -> ip.Packet | None:
        """The packet that arrives outside when a datagram is sent from inside."""
        sent = self.send(ip.udp(source, target, payload), Side.INSIDE)
        return next((ip.parse(each.packet) for each in sent if each.side is Side.OUTSIDE), None)

    def into(
        self, payload: bytes, source: Endpoint = REGISTRAR, target: Endpoint = PUBLIC
    ) -> ip.Packet | None:
        """The packet that arrives inside when a datagram is sent from outside."""
        sent = self.send(ip.udp(source, target, payload), Side.OUTSIDE)
        return next((ip.parse(each.packet) for each in sent if each.side is Side.INSIDE), None)

    def answer(self, payload: bytes, source: Endpoint, target: Endpoint, side: Side) -> bytes | None:
        """What the router itself sends back to the sender."""
        sent = self.send(ip.udp(source, target, payload), side)
        own = [each for each in sent if each.side is side]
        assert all(each.originated for each in own)
        return ip.parse(own[0].packet).payload if own else None

    def register(self) -> None:
        assert self.out(basic.REGISTER) is not None
        assert self.into(basic.REGISTER_OK) is not None

    def call(self) -> None:
        """Alice calls Bob; her RTP port becomes 61004."""
        assert self.out(basic.INVITE) is not None
        assert self.into(basic.INVITE_OK) is not None
        self.out(state.ACK)

    def rtp_in(self, source: Endpoint = RELAY) -> bool:
        return self.into(state.RTP, source, state.PUBLIC_RTP) is not None

    def rtp_out(self) -> ip.Packet | None:
        return self.out(state.RTP, state.RTP_PORT, RELAY)


def home(spec: str) -> Home:
    return Home(CATALOGUE.get(spec))


def payload(packet: ip.Packet | None) -> bytes:
    assert packet is not None
    return packet.payload


ALIKE = (
    "nat-hidden-no-keepalive",
    "keepalive-crlf-swallowed(translate=true)",
    "options-answered-locally",
    "two-phones-collision",
    "wrong-inside-port",
    "mapping-not-stable",
    "pinhole-left-open",
    "pinhole-closed-by-401",
    "deregister-star-ignored",
    "media-idle-blocked",
    "call-duration-cap",
)


@pytest.mark.parametrize("spec", ALIKE)
@pytest.mark.parametrize(
    "name", ["register", "register-ok", "invite", "invite-ok", "incoming-invite", "incoming-ok"]
)
def test_messages_themselves_are_as_the_correct_alg_makes_them(spec: str, name: str) -> None:
    assert samples.cross(CATALOGUE.get(spec), name).after == samples.cross(CORRECT, name).after != b""


# -- the way in ------------------------------------------------------------------------------------


@pytest.mark.parametrize("idle", [1.0, 299.0, 301.0, 3599.0])
def test_a_hidden_nat_is_open_as_long_as_its_binding(idle: float) -> None:
    for model, arrives in ((home("nat-hidden-no-keepalive"), idle < 300), (Home(CORRECT), True)):
        model.register()
        model.now = idle
        assert (model.into(basic.INCOMING) is not None) is arrives


@pytest.mark.parametrize(("seconds", "idle", "arrives"), [(30, 29, True), (30, 31, False), (60, 59, True)])
def test_a_short_binding(seconds: int, idle: float, arrives: bool) -> None:
    router = home(f"udp-binding-short(seconds={seconds})")
    router.register()
    router.now = idle
    assert (router.into(basic.INCOMING) is not None) is arrives


def test_keepalives_keep_a_short_binding() -> None:
    router = home("udp-binding-short")
    router.register()
    for _ in range(10):
        router.now += 25
        assert router.out(state.CRLF) is not None
    assert router.into(basic.INCOMING) is not None


def test_short_bindings_do_not_shorten_tcp() -> None:
    """A configured TCP timeout stays."""
    nat = home("udp-binding-short").gateway.nat.config
    assert (nat.udp_timeout, nat.tcp_timeout) == (30.0, NatConfig().tcp_timeout)


# -- keep-alives -----------------------------------------------------------------------------------


@pytest.mark.parametrize("interval", [25.0, 250.0])
def test_swallowed_keepalives_refresh_nothing(interval: float) -> None:
    for model, arrives in ((home("keepalive-crlf-swallowed"), False), (Home(NONE), True)):
        model.register()
        while model.now < 500:
            model.now += interval
            assert (model.out(state.CRLF) is not None) is arrives
        assert (model.into(basic.INCOMING) is not None) is arrives


@given(st.binary(max_size=40).filter(lambda data: not SipMessage.parse(data).is_sip))
@settings(max_examples=50)
def test_everything_else_than_sip_is_swallowed(data: bytes) -> None:
    router = home("keepalive-crlf-swallowed(translate=true)")
    router.register()
    assert router.out(data) is None
    assert router.into(data) is None
    assert payload(router.out(data, target=RELAY)) == data


def test_sip_passes_between_swallowed_keepalives() -> None:
    router = home("keepalive-crlf-swallowed")
    for _ in range(3):
        assert payload(router.out(basic.REGISTER)) == basic.REGISTER
        assert router.out(state.CRLF) is None


def tcp_to(router: Home, port: int, *pieces: bytes) -> list[bytes]:
    """What a server on that port receives when a phone sends the pieces on a new connection."""
    local, server = Endpoint("192.168.1.20", 50000), Endpoint(REGISTRAR.ip, port)
    (opened,) = router.send(ip.tcp(local, server, seq=100, flags=ip.SYN), Side.INSIDE)
    public = ip.parse(opened.packet).source
    router.send(ip.tcp(server, public, seq=500, ack=101, flags=ip.SYN | ip.ACK), Side.OUTSIDE)
    received, at = [], 101
    for piece in pieces:
        sent = router.send(ip.tcp(local, server, piece, seq=at, ack=501), Side.INSIDE)
        at += len(piece)
        for each in sent:
            if each.side is Side.OUTSIDE:
                packet = ip.parse(each.packet)
                received.append(packet.payload)
                ack = (packet.seq + len(packet.payload)) & 0xFFFFFFFF
                router.send(ip.tcp(server, public, seq=501, ack=ack), Side.OUTSIDE)
    return [each for each in received if each]


@pytest.mark.parametrize("translate", ["true", "false"])
def test_keepalives_over_tcp_are_no_datagrams(translate: str) -> None:
    router = home(f"keepalive-crlf-swallowed(translate={translate})")
    assert tcp_to(router, 5060, state.CRLF) == [state.CRLF]


def test_a_held_registration_needs_no_keepalives() -> None:
    router = home("keepalive-crlf-swallowed(translate=true)")
    router.register()
    router.now = 3000.0
    assert router.into(basic.INCOMING) is not None


# -- OPTIONS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "server", "phone"), [("both", 1, 1), ("server", 1, 0), ("phone", 0, 1)])
def test_whose_options_are_answered(side: str, server: int, phone: int) -> None:
    router = home(f"options-answered-locally(side={side})")
    router.register()
    to_server = router.answer(state.OPTIONS_IN, REGISTRAR, PUBLIC, Side.OUTSIDE)
    to_phone = router.answer(state.OPTIONS, PHONE, REGISTRAR, Side.INSIDE)
    assert (to_server is not None, to_phone is not None) == (bool(server), bool(phone))


def test_an_answer_to_options_is_one_that_its_sender_accepts() -> None:
    router = home("options-answered-locally")
    answer = SipMessage.parse(router.answer(state.OPTIONS, PHONE, REGISTRAR, Side.INSIDE) or b"")
    request = SipMessage.parse(state.OPTIONS)
    for name in (b"via", b"from", b"call-id", b"cseq"):
        assert answer.value(name) == request.value(name)
    assert answer.status == 200
    assert answer.value(b"to").startswith(request.value(b"to") + b";tag=")


@pytest.mark.parametrize("missing", [b"Via", b"From", b"To", b"Call-ID", b"CSeq"])
def test_options_that_can_not_be_answered_pass(missing: bytes) -> None:
    lines = [line for line in state.OPTIONS.split(b"\r\n") if not line.startswith(missing + b":")]
    assert home("options-answered-locally").out(b"\r\n".join(lines)) is not None


@pytest.mark.parametrize("spec", ["options-answered-locally", "port5060-hijack"])
@given(cut=st.integers(0, len(state.OPTIONS)))
@settings(max_examples=40)
def test_an_answer_to_a_torso_is_well_formed(spec: str, cut: int) -> None:
    answer = home(spec).answer(state.OPTIONS[:cut], PHONE, REGISTRAR, Side.INSIDE)
    if answer is not None:
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == b""
        assert all(b":" in line for line in head.split(b"\r\n")[1:])
        assert head.endswith(b"\r\nContent-Length: 0")


def test_options_over_tcp_pass() -> None:
    message = state.OPTIONS.replace(b"SIP/2.0/UDP", b"SIP/2.0/TCP")
    assert tcp_to(home("options-answered-locally"), 5060, message) == tcp_to(Home(CORRECT), 5060, message)


# -- the router's own proxy --------------------------------------------------------------------------


def test_a_hijacked_request_never_leaves() -> None:
    router = home("port5060-hijack")
    for host in (REGISTRAR, Endpoint("198.51.100.99", 5060)):
        answer = router.answer(basic.REGISTER, PHONE, host, Side.INSIDE)
        assert answer is not None
        assert answer.startswith(b"SIP/2.0 403 ")
        assert router.out(basic.REGISTER, target=host) is None
    assert router.answer(state.ACK, PHONE, REGISTRAR, Side.INSIDE) is None
    assert home("port5060-hijack(proxy=silent)").answer(basic.REGISTER, PHONE, REGISTRAR, Side.INSIDE) is None


@pytest.mark.parametrize("proxy", ["refuses", "silent", "relays"])
def test_non_standard_port_and_tcp_escape_the_hijack(proxy: str) -> None:
    router = home(f"port5060-hijack(proxy={proxy})")
    assert payload(router.out(basic.REGISTER, target=REGISTRAR._replace(port=5080))) == basic.REGISTER
    assert tcp_to(router, 5060, basic.REGISTER) == [basic.REGISTER]


@pytest.mark.parametrize("joined", [False, True])
def test_a_relaying_proxy_leaves_its_mark_outside_only(joined: bool) -> None:
    router = home("port5060-hijack(proxy=relays)")
    sent = SipMessage.parse(payload(router.out(basic.REGISTER)))
    tops = [each.value for each in sent.all(b"via")]
    assert len(tops) == 2
    assert tops[0] == b"SIP/2.0/UDP 203.0.113.7:61002;branch=z9hG4bK74-r"
    response = SipMessage.parse(basic.REGISTER_OK)
    own = response.all(b"via")[0]
    mark = tops[0] + b";received=203.0.113.7"
    both = mark + (b", " if joined else b"\r\nVia: ") + own.value
    own.value = both
    expected = Home(CORRECT)
    expected.out(basic.REGISTER)
    assert payload(router.into(bytes(response))) == payload(expected.into(basic.REGISTER_OK))


# -- the ports of SIP --------------------------------------------------------------------------------


@pytest.mark.parametrize("match", ["destination", "server"])
def test_another_server_port_is_as_without_an_alg(match: str) -> None:
    router = home(f"non5060-ignored(match={match})")
    server = REGISTRAR._replace(port=5080)
    assert payload(router.out(basic.REGISTER, target=server)) == basic.REGISTER
    assert payload(router.into(basic.REGISTER_OK, server)) == basic.REGISTER_OK


def test_with_port_5060_kept_the_destination_is_right_in_both_directions() -> None:
    nat = NatConfig(port_allocation=PortAllocation.PRESERVE)
    public = PUBLIC._replace(port=5060)
    incoming = basic.INCOMING.replace(b"61002", b"5060")
    seen = []
    for model in (CATALOGUE.get("non5060-ignored"), CORRECT):
        router = Home(model, nat=nat)
        left = router.out(basic.REGISTER)
        assert left is not None
        assert left.source == public
        seen.append((left.payload, payload(router.into(incoming, target=public))))
    assert seen[0] == seen[1]
    assert b"192.168.1.20" in seen[0][1]


def test_answers_to_other_public_ports_pass_as_they_are_and_only_they() -> None:
    router = home("non5060-ignored")
    assert payload(router.out(basic.REGISTER)) == samples.cross(CORRECT, "register").after
    assert payload(router.into(basic.REGISTER_OK)) == basic.REGISTER_OK
    server = home("non5060-ignored(match=server)")
    server.out(basic.REGISTER)
    assert payload(server.into(basic.REGISTER_OK)) == samples.cross(CORRECT, "register-ok").after


# -- whom a packet reaches -----------------------------------------------------------------------------


def destination(packet: ip.Packet | None) -> Endpoint:
    assert packet is not None
    return packet.destination


def test_the_phone_that_registered_last_gets_the_calls() -> None:
    router = home("two-phones-collision")
    router.register()
    assert destination(router.into(basic.INCOMING)) == PHONE
    router.out(state.REGISTER_CAROL, source=SECOND_PHONE)
    assert destination(router.into(basic.INCOMING)) == SECOND_PHONE
    assert destination(router.into(basic.REGISTER_OK)) == PHONE, "answers go where they belong"
    router.register()
    assert destination(router.into(basic.INCOMING)) == PHONE


def test_phones_on_different_ports_do_not_collide() -> None:
    router = home("two-phones-collision(responses=true)")
    router.register()
    router.out(state.REGISTER_CAROL, source=SECOND_PHONE._replace(port=5062))
    assert destination(router.into(basic.INCOMING)) == PHONE
    router.out(state.REGISTER_CAROL, source=SECOND_PHONE)
    assert destination(router.into(basic.REGISTER_OK)) == SECOND_PHONE


@pytest.mark.parametrize(
    ("messages", "request_port", "response_port"),
    [("all", 61002, 61002), ("requests", 61002, 5060), ("responses", 5060, 61002)],
)
def test_the_wrong_port_of_the_right_host(messages: str, request_port: int, response_port: int) -> None:
    router = home(f"wrong-inside-port(messages={messages})")
    router.out(basic.REGISTER)
    assert destination(router.into(basic.REGISTER_OK)) == PHONE._replace(port=response_port)
    assert destination(router.into(basic.INCOMING)) == PHONE._replace(port=request_port)


def test_a_wrong_port_now_and_then() -> None:
    router = home("wrong-inside-port(probability=0.5)")
    router.register()
    assert {destination(router.into(basic.INCOMING)).port for _ in range(50)} == {5060, 61002}
    never = home("wrong-inside-port(probability=0)")
    never.register()
    assert destination(never.into(basic.INCOMING)) == PHONE


def register_again(number: int) -> bytes:
    return basic.REGISTER.replace(b"K74", b"K74-%d" % number).replace(b"1 REGISTER", b"%d REGISTER" % number)


def test_each_request_gets_a_port_that_its_own_addresses_name() -> None:
    router = home("mapping-not-stable")
    seen = set()
    for number in range(1, 6):
        left = router.out(register_again(number))
        assert left is not None
        seen.add(left.sport)
        assert b"Via: SIP/2.0/UDP 203.0.113.7:%d;" % left.sport in left.payload
        assert b"Contact: <sip:alice@203.0.113.7:%d>" % left.sport in left.payload
        again = router.out(register_again(number))
        assert again is not None
        assert (again.sport, again.payload) == (left.sport, left.payload), "a retransmission"
        assert router.into(basic.REGISTER_OK, target=left.source) is not None
    assert len(seen) == 5
    assert router.into(basic.INCOMING) is not None, "the first port lives its time"


def test_responses_and_other_traffic_keep_their_mapping() -> None:
    router = home("mapping-not-stable")
    router.register()
    router.into(basic.INCOMING)
    ports = set()
    for _ in range(3):
        answer = router.out(basic.INCOMING_OK)
        assert answer is not None
        ports.add(answer.sport)
        keepalive = router.out(state.CRLF)
        assert keepalive is not None
        ports.add(keepalive.sport)
    assert ports == {61002}


def test_new_mappings_end_when_ports_do() -> None:
    router = Home(
        CATALOGUE.get("mapping-not-stable"),
        nat=NatConfig(port_allocation=PortAllocation.SEQUENTIAL, first_port=61002, last_port=61011),
    )
    for number in range(1, 50):
        assert router.out(register_again(number)) is not None
    assert len(router.gateway.nat.bindings) <= 10


# -- pinholes ----------------------------------------------------------------------------------------


def refused() -> bytes:
    """The answer to an INVITE that fails."""
    return basic.INVITE_OK.replace(b"200 OK", b"486 Busy Here")


@pytest.mark.parametrize("ending", ["bye", "busy"])
def test_a_pinhole_that_outlives_its_call(ending: str) -> None:
    for model, is_open in ((home("pinhole-left-open"), True), (Home(CORRECT), False)):
        if ending == "bye":
            model.call()
            model.out(state.BYE)
            model.into(state.BYE_OK)
        else:
            model.out(basic.INVITE)
            model.into(refused())
        model.now = 1000.0
        assert model.rtp_in(state.STRANGER) is is_open
        model.now = 90000.0
        assert not model.rtp_in(state.STRANGER), "a day is the most"


def test_a_posted_register_opens_a_port_that_a_correct_alg_keeps_shut() -> None:
    for name, opens in (("pinhole-hijack", True), ("pinhole-hijack(lowest_port=1024)", False)):
        assert (samples.cross(CATALOGUE.get(name), "state-stranger-at-ssh").after != b"") is opens
    assert samples.cross(CORRECT, "state-stranger-at-ssh").after == b""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"SIP/2.0/TCP 192.168.1.20", b"SIP/2.0/TCP 192.168.1.99"),  # a Via of somebody else
        (b"sip:a@192.168.1.20:22", b"sip:a@198.51.100.66:22"),  # not inside
        (b"REGISTER sip", b"OPTIONS sip"),
    ],
)
def test_what_hijacks_nothing(old: bytes, new: bytes) -> None:
    router = home("pinhole-hijack")
    for packet in state.posted.packets[:-1]:
        router.send(packet.data, packet.side)
    last = ip.parse(state.posted.packets[-1].data)
    router.send(bytes(last.with_(payload=last.payload.replace(old, new))), Side.INSIDE)
    for port in range(61002, 61020):
        probe = ip.tcp(state.STRANGER, PUBLIC._replace(port=port), seq=1, flags=ip.SYN)
        assert router.send(probe, Side.OUTSIDE) == []


def test_a_hijacked_pinhole_ends() -> None:
    router = home("pinhole-hijack(lifetime=100)")
    for packet in state.posted.packets:
        router.send(packet.data, packet.side)
    probe = ip.tcp(state.STRANGER, state.PUBLIC_RTP, seq=1, flags=ip.SYN)
    router.now = 99.0
    assert len(router.send(probe, Side.OUTSIDE)) == 1
    router.now = 10000.0
    assert router.send(probe, Side.OUTSIDE) == []


def test_a_challenge_closes_until_the_registration_succeeds() -> None:
    router = home("pinhole-closed-by-401")
    router.register()
    assert router.into(basic.INCOMING, OTHER_PORT) is not None
    router.into(state.CHALLENGE.replace(b"401 Unauthorized", b"100 Trying"))
    assert router.into(basic.INCOMING, OTHER_PORT) is not None
    for code in (b"401 Unauthorized", b"407 Proxy Authentication Required", b"500 Oops"):
        router.into(state.CHALLENGE.replace(b"401 Unauthorized", code))
        assert router.into(basic.INCOMING, OTHER_PORT) is None
        assert router.into(basic.INCOMING) is not None, "the NAT's own binding is not touched"
        router.register()
        assert router.into(basic.INCOMING, OTHER_PORT) is not None


def test_an_unanswered_challenge_leaves_only_the_nats_time() -> None:
    for model, arrives in ((home("pinhole-closed-by-401"), False), (Home(CORRECT), True)):
        model.register()
        model.into(state.CHALLENGE)
        model.now = 301.0
        assert (model.into(basic.INCOMING) is not None) is arrives


def deregister(router: Home, request: bytes) -> bool:
    """Send the request; returns whether the pinhole is open after it."""
    router.register()
    router.now = 10.0
    router.out(request)
    router.into(state.REGISTER_STAR_OK)
    router.now = 400.0
    return router.into(basic.INCOMING) is not None


def test_a_star_is_overlooked_and_a_named_contact_is_not() -> None:
    star = state.REGISTER_STAR
    named = star.replace(b"Contact: *", b"Contact: <sip:alice@192.168.1.20:5060>;expires=0")
    compact = star.replace(b"Contact: *", b"m:  * ")
    assert deregister(home("deregister-star-ignored"), star)
    assert deregister(home("deregister-star-ignored"), compact)
    assert not deregister(home("deregister-star-ignored"), named)
    assert not deregister(Home(CORRECT), star)


def test_an_overlooked_registration_still_ends_by_itself() -> None:
    router = home("deregister-star-ignored")
    assert deregister(router, state.REGISTER_STAR)
    router.now = 3700.0
    assert router.into(basic.INCOMING) is None


# -- calls over time -----------------------------------------------------------------------------------


def test_silence_closes_the_way_for_media() -> None:
    router = home("media-idle-blocked")
    router.call()
    for _ in range(50):
        router.now += 100.0
        assert router.rtp_in(), "traffic from outside alone keeps it open"
    for _ in range(50):
        router.now += 100.0
        assert router.rtp_out() is not None
    assert router.rtp_in()
    router.now += 121.0
    assert not router.rtp_in()
    assert router.out(state.UPDATE) is not None, "the call itself goes on"


def test_a_new_session_description_opens_it_again() -> None:
    router = home("media-idle-blocked")
    router.call()
    router.now = 500.0
    assert not router.rtp_in()
    left = payload(router.out(basic.INVITE.replace(b"K75", b"K89").replace(b"1 INVITE", b"3 INVITE")))
    port = int(left.split(b"m=audio ")[1].split()[0])
    assert router.into(state.RTP, RELAY, state.PUBLIC_RTP._replace(port=port)) is not None


def test_signalling_does_not_end_with_media() -> None:
    router = home("media-idle-blocked(seconds=10)")
    router.register()
    router.call()
    router.now = 3000.0
    assert router.into(basic.INCOMING) is not None


def test_without_the_fault_silence_is_harmless() -> None:
    router = Home(CORRECT)
    router.call()
    router.now = 5000.0
    assert router.rtp_in()


@pytest.mark.parametrize("seconds", [1800, 43200])
def test_a_call_that_lasts_too_long(seconds: int) -> None:
    router = home(f"call-duration-cap(seconds={seconds})")
    router.call()
    router.now = seconds - 1.0
    assert router.out(state.UPDATE) is not None
    assert router.rtp_in(state.STRANGER)
    router.now = seconds + 1.0
    assert router.out(state.UPDATE) is None
    assert router.out(state.BYE) is None
    assert not router.rtp_in(state.STRANGER)
    assert router.out(basic.REGISTER) is not None, "other messages pass"
    assert router.out(basic.INVITE.replace(b"b95c5d87", b"another")) is not None


# -- directions ----------------------------------------------------------------------------------------


def test_responses_stay_and_requests_are_translated_both_ways() -> None:
    broken, right = home("response-not-translated-back"), Home(CORRECT)
    seen = {}
    for router in (broken, right):
        seen[router.model.id] = [
            payload(router.out(basic.REGISTER)),
            payload(router.into(basic.REGISTER_OK)),
            payload(router.into(basic.INCOMING)),
            payload(router.out(basic.INCOMING_OK)),
            payload(router.out(basic.INVITE)),
        ]
    mine, correct = seen[broken.model.id], seen[right.model.id]
    assert mine[1] == basic.REGISTER_OK != correct[1]
    assert mine[:1] + mine[2:] == correct[:1] + correct[2:]


def test_one_direction_only() -> None:
    for leaves, unchanged in (("responses", {3}), ("outbound", {0, 3, 4})):
        broken, right = home(f"one-direction-only(leaves={leaves})"), Home(CORRECT)
        originals = [basic.REGISTER, basic.REGISTER_OK, basic.INCOMING, basic.INCOMING_OK, basic.INVITE]
        for at, message in enumerate(originals):
            way = "into" if at in (1, 2) else "out"
            mine, correct = payload(getattr(broken, way)(message)), payload(getattr(right, way)(message))
            assert mine == (message if at in unchanged else correct), (leaves, at)
            assert correct != message


# -- ACK -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "lost"), [("both", True), ("outbound", True), ("inbound", False)])
def test_the_ack_of_an_answer_is_lost(direction: str, lost: bool) -> None:
    router = home(f"ack-2xx-lost(direction={direction})")
    router.out(basic.INVITE)
    assert router.into(basic.INVITE_OK) is not None
    for _ in range(3):
        assert (router.out(state.ACK) is None) is lost
    assert router.out(state.BYE) is not None


def test_the_ack_of_a_refusal_is_not() -> None:
    router = home("ack-2xx-lost")
    router.out(basic.INVITE)
    router.into(refused())
    assert router.out(state.ACK) is not None


def test_the_ack_of_an_incoming_call() -> None:
    ack = basic.INCOMING.split(b"Content-Type")[0].replace(b"INVITE", b"ACK") + b"Content-Length: 0\r\n\r\n"
    for direction, lost in (("both", True), ("inbound", True), ("outbound", False)):
        router = home(f"ack-2xx-lost(direction={direction})")
        router.register()
        router.into(basic.INCOMING)
        router.out(basic.INCOMING_OK)
        assert (router.into(ack) is None) is lost


def test_an_ack_now_and_then() -> None:
    router = home("ack-2xx-lost(probability=0.5)")
    router.out(basic.INVITE)
    router.into(basic.INVITE_OK)
    assert {router.out(state.ACK) is None for _ in range(50)} == {True, False}


def test_an_ack_over_tcp_is_taken_out_of_the_stream() -> None:
    router = home("ack-2xx-lost")
    router.out(basic.INVITE)
    router.into(basic.INVITE_OK)
    assert tcp_to(router, 5060, state.ACK) == []
    assert len(tcp_to(Home(CORRECT), 5060, state.ACK)) == 1


# -- hairpins ------------------------------------------------------------------------------------------


def test_only_the_way_round_is_closed() -> None:
    first, second = state.RTP_PORT, SECOND_PHONE._replace(port=49170)
    for model, turns in ((home("hairpin-broken"), False), (Home(NONE), True)):
        for phone in (first, second):
            assert model.out(state.RTP, phone, RELAY) is not None
        publics = [PUBLIC, PUBLIC._replace(port=61004)]
        # Each phone sends to the other, so that each binding admits the other.
        sent = [
            model.send(ip.udp(phone, public, state.RTP), Side.INSIDE)
            for phone, public in ((first, publics[1]), (second, publics[0]), (first, publics[1]))
        ]
        assert bool(sent[-1]) is turns
        assert model.into(state.RTP, RELAY, PUBLIC) is not None
