"""Each setting in which kinds of phones differ, as it shows on the wire or in the result.

``test_seen`` has a case per program for what phones compare in responses and refuse in messages.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from siplab.lab.phone.call import CallState
from siplab.lab.phone.registration import RegistrationState
from siplab.lab.wire.ip import Endpoint
from tests.lab.conftest import SERVER, Datagram, make_lab
from tests.lab.phone.test_seen import altered, answer, header, inject, length, settings, template, to

if TYPE_CHECKING:
    from tests.lab.conftest import Lab

NAT = Endpoint("198.18.0.9", 61002)


def registered(**changes: Any) -> Lab:
    lab = make_lab(alice=changes)
    lab.register()
    return lab


def called(lab: Lab) -> None:
    lab.net.do(lab.bob, lab.bob.call("alice@lab.test", lab.net.now))
    lab.net.run(lab.net.now + 1.5)


def contact_of(each: Datagram) -> bytes:
    return each.message.value(b"contact")


# -- how it writes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "at"), [("token", False), ("token@host", True)])
def test_call_id_form(form: str, at: bool) -> None:
    lab = registered(call_id_form=form)
    lab.call()
    for label in ("REGISTER", "INVITE"):
        value = next(each for each in lab.net.sent(label) if each.source == lab.alice.local).message.value(
            b"call-id"
        )
        assert value.endswith(b"@203.0.113.7") == at


@pytest.mark.parametrize(
    ("form", "before", "after"),
    [
        ("plain", b"<sip:alice@203.0.113.7:5060>", b""),
        ("ob", b"<sip:alice@203.0.113.7:5060;ob>", b""),
        ("transport", b"<sip:alice@203.0.113.7:5060;transport=udp>", b""),
        ("instance", b"<sip:alice@203.0.113.7:5060;transport=udp>", b';+sip.instance="<urn:uuid:'),
        ("unique-user", b"<sip:alice-0x", b"@203.0.113.7:5060>;expires=3600"),
    ],
)
def test_contact_form(form: str, before: bytes, after: bytes) -> None:
    lab = registered(contact_form=form)
    contact = contact_of(lab.net.sent("REGISTER")[0])
    assert contact.startswith(before)
    assert after in contact[len(before) :]
    assert lab.alice.registration.state is RegistrationState.REGISTERED
    assert "contact-mismatch" not in lab.kinds(lab.alice)
    called(lab)
    assert lab.alice.calls[0].state is CallState.ESTABLISHED


def test_random_rtp_port() -> None:
    ports = {make_lab(seed=seed, alice={"rtp_port": "random"}).alice.rtp_local.port for seed in range(9)}
    assert len(ports) == 9
    assert all(1024 <= port < 49152 and port % 2 == 0 for port in ports)


@pytest.mark.parametrize(("seconds", "shown"), [(0, b""), (1800, b"1800")])
def test_session_timer(seconds: int, shown: bytes) -> None:
    lab = registered(session_timer=seconds)
    lab.call()
    invite = lab.net.sent("INVITE")[-1].message
    assert invite.value(b"session-expires") == shown
    assert invite.value(b"supported") == (b"timer" if seconds else b"")
    assert invite.value(b"min-se") == (b"90" if seconds else b"")


def test_a_scenario_may_ask_for_another_session_interval() -> None:
    lab = registered(session_timer=1800, session_expires=90)
    lab.call()
    assert lab.net.sent("INVITE")[-1].message.value(b"session-expires") == b"90"


# -- what it answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "rport", "port", "stamped"),
    [
        ("asked", b";rport", 5090, True),
        ("asked", b"", 5095, False),
        ("source", b"", 5090, True),
        ("via-port", b";rport", 5095, False),
    ],
)
def test_answers_to(how: str, rport: bytes, port: int, stamped: bool) -> None:
    lab = make_lab(alice={"answers_to": how})
    wire = to(b":5090;rport", b":5095" + rport)(template(lab.alice))
    since = inject(lab, wire)
    ringing = lab.net.log[since]
    assert ringing.destination == Endpoint("198.51.100.77", port)
    assert (b"rport=5090" in ringing.payload) == stamped


@pytest.mark.parametrize(
    ("check", "other_user", "other_host"),
    [("none", "accepted", "accepted"), ("user", "404", "accepted"), ("host-port", "404", "404")],
)
def test_request_uri_check(check: str, other_user: str, other_host: str) -> None:
    for change, outcome in (
        (to(b"INVITE sip:alice", b"INVITE sip:carol"), other_user),
        (to(b"@203.0.113.7:5060", b"@192.0.2.99:5060"), other_host),
    ):
        lab = make_lab(alice={"request_uri_check": check})
        assert answer(lab, inject(lab, change(template(lab.alice))), "INVITE") == outcome


@pytest.mark.parametrize(("status", "outcome"), [(200, "accepted"), (500, "500")])
def test_options_in_dialog(status: int, outcome: str) -> None:
    lab = registered(options_in_dialog=status)
    called(lab)
    dialog = lab.alice.calls[0].dialog
    assert dialog is not None
    wire = (
        b"OPTIONS %b SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.77:5090;rport;branch=z9hG4bKopt\r\n"
        b"Max-Forwards: 70\r\nFrom: %b\r\nTo: %b\r\n"
        b"Call-ID: %b\r\nCSeq: 99 OPTIONS\r\nContent-Length: 0\r\n\r\n"
        % (lab.alice.contact, dialog.remote, dialog.local, dialog.call_id)
    )
    assert answer(lab, inject(lab, wire), "OPTIONS") == outcome
    outside = header(b"to", lambda value: b"<sip:alice@lab.test>")(wire).replace(b"bKopt", b"bKout")
    assert answer(lab, inject(lab, outside), "OPTIONS") == "accepted"


@pytest.mark.parametrize(("patience", "repeats"), [(32.0, 10), (31.0, 9)])
def test_lost_ack(patience: float, repeats: int) -> None:
    """Seen: the last 200 at 31.5 s and BYE at 32.0 s (pjsua, baresip), or at 27.5 and 31.0 s (linphonec)."""
    lab = registered(lost_ack=patience)
    lab.net.filters.append(lambda each: None if each.label == "ACK" else each)
    called(lab)
    answered = lab.net.times("200 INVITE", lab.alice.local)[0]
    lab.net.run(answered + 40.0)
    times = [at - answered for at in lab.net.times("200 INVITE", lab.alice.local)]
    assert len(times) == repeats + 1
    assert times[-1] == pytest.approx(27.5 if repeats == 9 else 31.5)
    assert lab.net.times("BYE", lab.alice.local)[0] - answered == pytest.approx(patience)


# -- registering -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "state", "again"),
    [
        ("fallback", RegistrationState.REGISTERED, False),
        ("ignore", RegistrationState.REGISTERING, False),
        ("unregister", RegistrationState.FAILED, True),
    ],
)
def test_contact_policy(policy: str, state: RegistrationState, again: bool) -> None:
    lab = make_lab(alice={"contact_policy": policy})
    altered(lab, "200 REGISTER", header(b"contact", None))
    lab.net.do(lab.alice, lab.alice.register(0.0))
    assert lab.alice.registration.state is state
    lab.net.run(70.0)
    assert (len(lab.net.times("REGISTER", lab.alice.local)) > 2) == again


@pytest.mark.parametrize(
    ("refresh", "expires", "at"),
    [(60.0, 600, 540), (60.0, 90, 45), (5.0, 600, 595), (0.9, 600, 540), ((0.25, 0.75), 600, None)],
)
def test_refresh(refresh: Any, expires: int, at: float | None) -> None:
    lab = make_lab(alice={"refresh": refresh, "expires": expires})
    lab.net.do(lab.alice, lab.alice.register(0.0))
    lab.net.run(expires - 1.0)
    when = lab.net.times("REGISTER", lab.alice.local)[2]
    assert when == pytest.approx(at) if at is not None else expires / 4 <= when <= expires * 3 / 4


LINPHONE = {403: 60.0, 404: "never", 500: "never", 503: 60000.0, "silence": 2.5, "else": 60.0}
PJSIP = {408: 300.0, 500: 300.0, "6xx": 300.0, "silence": 300.0, "else": "never"}


@pytest.mark.parametrize(
    ("retry", "status", "wait"),
    [
        (LINPHONE, 403, 60.0),
        (LINPHONE, 404, None),
        (LINPHONE, 500, None),
        (LINPHONE, 410, 60.0),
        (LINPHONE, 0, 2.5),
        (PJSIP, 403, None),
        (PJSIP, 603, 300.0),
        (PJSIP, 0, 300.0),
    ],
)
def test_retry(retry: dict[int | str, float | str], status: int, wait: float | None) -> None:
    """The times that linphonec and pjsua were seen to use, or that their source has."""
    lab = make_lab(alice={"retry": retry})
    change = to(b"SIP/2.0 401 Unauthorized", b"SIP/2.0 %d No" % status)
    lab.net.filters.append(
        lambda each: (
            each
            if each.label != "401 REGISTER"
            else replace(each, payload=change(each.payload))
            if status
            else None
        )
    )
    lab.net.do(lab.alice, lab.alice.register(0.0))
    lab.net.run(400.0)
    first = 0.0 if status else 32.0
    later = [at - first for at in lab.net.times("REGISTER", lab.alice.local) if at > first]
    assert later[:1] == ([pytest.approx(wait)] if wait is not None else [])


def test_retry_grows_to_its_limit() -> None:
    """baresip: 30*2^n seconds, n from 1, times 0.5 to 1, 1800 at most."""
    lab = make_lab(
        alice={"retry": {"else": 60.0}, "retry_growth": 2.0, "retry_limit": 200.0, "retry_spread": (0.5, 1.0)}
    )
    altered(lab, "401 REGISTER", to(b"SIP/2.0 401", b"SIP/2.0 403"))
    lab.net.do(lab.alice, lab.alice.register(0.0))
    lab.net.run(1000.0)
    times = lab.net.times("REGISTER", lab.alice.local)
    waits = [later - earlier for earlier, later in pairwise(times)]
    for wait, most in zip(waits, (60, 120, 200, 200), strict=False):
        assert most / 2 <= wait <= most
    assert len(waits) >= 4


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("crlf", b"\r\n"), ("crlf-crlf", b"\r\n\r\n"), ("zero-bytes", bytes(4)), ("jak", b"jaK\0")],
)
def test_keepalive_bytes(kind: str, payload: bytes) -> None:
    lab = registered(keepalive=kind, keepalive_interval=15.0)
    lab.net.run(50.0)
    beats = [each for each in lab.net.log if each.source == lab.alice.local and not each.is_sip]
    assert [(each.at, each.payload, each.destination) for each in beats] == [
        (at, payload, SERVER) for at in (15.0, 30.0, 45.0)
    ]


@pytest.mark.parametrize("kind", ["notify", "register", "options"])
def test_keepalive_requests(kind: str) -> None:
    lab = registered(keepalive=kind, keepalive_interval=15.0)
    lab.net.log.clear()
    lab.net.run(20.0)
    (first, *_) = lab.net.sent(kind.upper())
    assert (first.at, first.source) == (15.0, lab.alice.local)
    assert bool(contact_of(first)) == (kind != "register")
    assert lab.alice.registration.state is RegistrationState.REGISTERED
    lab.net.filters.append(lambda each: None if each.destination == lab.alice.local else each)
    lab.net.run(80.0)
    # Only OPTIONS show the phone that nothing comes back.
    assert (lab.alice.keepalive.failed > 0) == (kind == "options")


# -- learning: the evidence is what pjsua and linphonec did (seen), and sofia's source ---------------------

PUBLIC, OTHER = b"198.18.0.9", b"10.9.9.9"
LEARNING = [
    (b";received=198.18.0.9;rport=61002", None, "198.18.0.9:61002", "198.18.0.9:61002", "198.18.0.9:61002"),
    (b"", b"198.18.0.9:61002", "198.18.0.9:61002", "198.18.0.9:61002", ""),
    (b";rport=61002", None, "", "192.168.1.7:61002", ""),
    (b";received=10.9.9.9;rport=61002", None, "10.9.9.9:61002", "10.9.9.9:61002", "10.9.9.9:61002"),
    (b"", None, "", "", ""),
]


@pytest.mark.parametrize(("parameters", "sent_by", "pjsip", "linphone", "sofia"), LEARNING)
@pytest.mark.parametrize("how", ["guarded", "once", "received", "none"])
def test_learning(
    how: str, parameters: bytes, sent_by: bytes | None, pjsip: str, linphone: str, sofia: str
) -> None:
    """The Via of the 200, and the Contact of the REGISTER that follows at once."""
    lab = make_lab(
        alice={"ip": "192.168.1.7", "learn": how, "response_match": ("branch", "method")},
        server={"rport": "always"},
    )
    natted(lab)

    def via(value: bytes) -> bytes:
        branch = next(each for each in value.split(b";") if each.startswith(b"branch="))
        return b"SIP/2.0/UDP " + (sent_by or b"192.168.1.7:5060") + parameters + b";" + branch

    altered(lab, "200 REGISTER", header(b"via", via))
    altered(
        lab,
        "401 REGISTER",
        header(
            b"via",
            lambda value: (
                via(value).replace(parameters, b"")
                if not sent_by
                else via(value).replace(sent_by, b"192.168.1.7:5060")
            ),
        ),
    )
    lab.net.do(lab.alice, lab.alice.register(0.0))
    lab.net.run(0.4)
    expected = {"guarded": pjsip, "once": linphone, "received": sofia, "none": ""}[how]
    contacts = [each.message.all(b"contact")[-1].value.decode() for each in lab.net.sent("REGISTER")]
    if not expected:
        assert set(contacts) == {"<sip:alice@192.168.1.7:5060>"}
        return
    assert contacts[-1] == f"<sip:alice@{expected}>"
    expiries = [each.message.value(b"expires") for each in lab.net.sent("REGISTER")]
    assert (b"0" in expiries) == (how == "guarded")
    removed = [each for each in lab.net.sent("REGISTER") if b";expires=0" in each.payload]
    assert bool(removed) == (how == "received")
    # It learns once, whatever later answers say, and stays registered.
    assert lab.alice.registration.state is RegistrationState.REGISTERED
    count = len(lab.net.sent("REGISTER"))
    lab.net.run(300.0)
    assert len(lab.net.sent("REGISTER")) == count
    assert lab.alice.announced.ip == ("192.168.1.7" if how != "guarded" else expected.partition(":")[0])


def natted(lab: Lab) -> None:
    """Put alice behind a NAT that leaves messages as they are."""

    def translate(each: Datagram) -> Datagram:
        if each.source == lab.alice.local:
            return replace(each, source=NAT)
        return replace(each, destination=lab.alice.local) if each.destination == NAT else each

    lab.net.filters.append(translate)


@pytest.mark.parametrize("how", ["guarded", "once", "received"])
def test_learning_from_the_challenge(how: str) -> None:
    """Nothing is registered yet, so no registration has to be removed."""
    lab = make_lab(alice={"ip": "192.168.1.7", "learn": how, "response_match": ("branch", "method")})
    natted(lab)
    lab.net.do(lab.alice, lab.alice.register(0.0))
    contacts = [each.message.value(b"contact") for each in lab.net.sent("REGISTER")]
    assert contacts == [b"<sip:alice@192.168.1.7:5060>", b"<sip:alice@198.18.0.9:61002>"]
    lab.net.run(600.0)
    assert len(lab.net.sent("REGISTER")) == 2
    called(lab)
    assert lab.alice.calls[0].state is CallState.ESTABLISHED


# -- media -------------------------------------------------------------------------------------------------


def media_from(lab: Lab, source: Endpoint, count: int, first: int = 0) -> None:
    packet = b"\x80\x00%b\x00\x00\x00\x00\x00\x00\x00\x07" + bytes(160)
    for number in range(first, first + count):
        lab.net.inject(packet % number.to_bytes(2, "big"), source, lab.alice.rtp_local)


@pytest.mark.parametrize(
    ("after", "packets", "latched"), [(0, 30, False), (1, 1, True), (10, 9, False), (10, 10, True)]
)
def test_latch_after(after: int, packets: int, latched: bool) -> None:
    lab = registered(latch_after=after)
    called(lab)
    elsewhere = Endpoint("192.0.2.200", 7000)
    media_from(lab, elsewhere, packets)
    assert (lab.alice.calls[0].remote_rtp == elsewhere) == latched


def test_a_new_offer_undoes_latching() -> None:
    lab = registered(latch_after=10)
    called(lab)
    media_from(lab, Endpoint("192.0.2.200", 7000), 10)
    talk = lab.bob.calls[0]
    talk.modify(lab.net.now)
    lab.net.do(lab.bob, lab.bob.layer.flush())
    assert lab.alice.calls[0].remote_rtp == talk.rtp_local


@pytest.mark.parametrize(("filter_", "heard"), [("none", 2), ("ip", 1)])
def test_media_filter(filter_: str, heard: int) -> None:
    lab = make_lab(alice={"media_filter": filter_}, bob={"media_packets": 0})
    lab.register()
    called(lab)
    remote = lab.alice.calls[0].remote_rtp
    assert remote is not None
    media_from(lab, remote._replace(port=9), 1)
    media_from(lab, Endpoint("192.0.2.200", remote.port), 1, first=1)
    assert lab.alice.calls[0].rtp_received == heard


@pytest.mark.parametrize(("how", "followed"), [("follow", True), ("ignore", False)])
def test_same_sdp_version(how: str, followed: bool) -> None:
    lab = registered(same_sdp_version=how)
    called(lab)
    talk = lab.bob.calls[0]
    before = lab.alice.calls[0].remote_rtp
    lab.net.filters.append(
        lambda each: (
            each.with_(b"m=audio 40000", b"m=audio 41000")
            if each.label == "INVITE" and each.destination == lab.alice.local
            else each
        )
    )
    talk.refresh(lab.net.now, lambda status, now: None)
    lab.net.do(lab.bob, lab.bob.layer.flush())
    assert before is not None
    assert lab.alice.calls[0].remote_rtp == (before._replace(port=41000) if followed else before)
    assert talk.renegotiation.status == 200


@pytest.mark.parametrize(("codecs", "offers"), [(b"0", 1), (b"0 8", 2)])
def test_codec_lock(codecs: bytes, offers: int) -> None:
    """Seen: a re-INVITE 0.2 s after the call was answered with more than one codec."""
    lab = registered(codec_lock=True)
    altered(
        lab,
        "200 INVITE",
        lambda wire: wire.replace(b"RTP/AVP 0", b"RTP/AVP " + codecs).replace(b"Content-Length: ", b"X: "),
    )
    lab.call()
    lab.net.run(3.0)
    invites = [each for each in lab.net.sent("INVITE") if each.source == lab.alice.local]
    first, *later = invites[1:]
    assert b"RTP/AVP 0 8 101" in first.payload
    assert len(later) == offers - 1
    for each in later:
        assert each.at - lab.net.times("ACK", lab.alice.local)[1] == pytest.approx(0.2)
        assert b"RTP/AVP 0 101" in each.payload


# -- lengths and ports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "long", "short"),
    [
        ("ignore", "accepted", "accepted"),
        ("cut", "400", "accepted"),
        ("reject", "400", "400"),
        ("stream", "silence", "accepted"),
    ],
)
def test_udp_length(how: str, long: str, short: str) -> None:
    for by, outcome in ((20, long), (-12, short)):
        lab = make_lab(alice={"udp_length": how})
        wire = length(by)(template(lab.alice))
        assert answer(lab, inject(lab, wire), "INVITE") == outcome


def test_a_stream_of_datagrams_is_deaf_until_the_next_one() -> None:
    """belle-sip: it takes missing bytes from the next datagram, so that both are lost."""
    lab = make_lab(alice={"udp_length": "stream", "on_syntax": "tolerate"})
    wire = length(20)(template(lab.alice))
    inject(lab, wire)
    inject(lab, b"\r\n\r\n")
    again = template(lab.alice).replace(b"peer-call", b"peer-two").replace(b"bKone", b"bKtwo")
    since = inject(lab, again)
    assert answer(lab, since, "INVITE") == "accepted"
    assert {each.message.value(b"call-id") for each in lab.net.log[since:]} == {b"peer-call"}


@pytest.mark.parametrize(
    ("how", "outcome"),
    [("drop", "silence"), ("reject", "400"), ("accept", "accepted"), ("wrap", "accepted")],
)
def test_bad_port(how: str, outcome: str) -> None:
    for place in (b"contact", b"via"):
        lab = make_lab(alice={"bad_port": how})
        wire = header(place, lambda value: value.replace(b":5090", b":70626"))(template(lab.alice))
        assert answer(lab, inject(lab, wire), "INVITE") == outcome


@pytest.mark.parametrize(("how", "port"), [("accept", 0), ("wrap", 5090)])
def test_where_a_bad_port_leads(how: str, port: int) -> None:
    """70626 is 5090 modulo 65536."""
    lab = make_lab(alice={"bad_port": how})
    wire = template(lab.alice).replace(b":5090", b":70626").replace(b";rport", b"")
    inject(lab, wire)
    assert [each.destination.port for each in lab.net.sent("180 INVITE")] == ([port] if port else [])
    lab = make_lab(alice={"bad_port": how})
    inject(lab, header(b"contact", lambda value: value.replace(b":5090", b":70626"))(template(lab.alice)))
    lab.net.do(lab.alice, lab.alice.answer(0.0))
    lab.net.run(33.0)
    assert [each.destination.port for each in lab.net.sent("BYE")][:1] == ([port] if port else [])
    assert ("unroutable" in lab.kinds(lab.alice)) == (how == "accept")


@pytest.mark.parametrize(
    ("how", "outcome"), [("drop", "silence"), ("reject", "400"), ("tolerate", "accepted")]
)
def test_on_syntax(how: str, outcome: str) -> None:
    lab = make_lab(alice={"on_syntax": how})
    wire = header(b"contact", lambda value: value + b"expires=60")(template(lab.alice))
    assert answer(lab, inject(lab, wire), "INVITE") == outcome


# -- what is compared -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("sent-by", b"203.0.113.7:5060;rport", b"203.0.113.8:5060;rport"),
        ("call-id", b"@203.0.113.7\r\n", b"@192.168.1.20\r\n"),
        ("from-tag", b"From: <sip:alice@lab.test>;tag=", b"From: <sip:alice@lab.test>;tag=x"),
        ("from", b"From: <sip:alice@lab.test>", b"From: <sip:alice@203.0.113.7:61002>"),
        ("cseq", b"CSeq: ", b"CSeq: 10"),
        ("method", b"REGISTER\r\n", b"OPTIONS\r\n"),
    ],
)
def test_response_match(part: str, old: bytes, new: bytes) -> None:
    every: tuple[str, ...] = ("branch", "method", "call-id", "from-tag", "cseq", "sent-by")
    every += ("from",) if part == "from" else ()  # which would find a wrong tag as well
    for match in (every, tuple(each for each in every if each != part)):
        lab = make_lab(alice={"response_match": match})
        altered(lab, "401 REGISTER", to(old, new))
        altered(lab, "200 REGISTER", to(old, new))
        lab.net.do(lab.alice, lab.alice.register(0.0))
        assert (lab.alice.registration.state is RegistrationState.REGISTERED) == (part not in match)


@pytest.mark.parametrize(("case", "found"), [("exact", False), ("any", True)])
def test_branch_case(case: str, found: bool) -> None:
    lab = make_lab(alice={"branch_case": case})
    altered(lab, "401 REGISTER", to(b"z9hG4bK", b"Z9HG4BK"))
    lab.net.do(lab.alice, lab.alice.register(0.0))
    assert (lab.alice.registration.state is RegistrationState.REGISTERED) == found


@pytest.mark.parametrize(("match", "ended"), [("call-id+tags", False), ("tags", True)])
def test_dialog_match(match: str, ended: bool) -> None:
    lab = registered(dialog_match=match)
    called(lab)
    altered(lab, "BYE", header(b"call-id", lambda value: value + b"x"))
    lab.hang_up(lab.bob)
    assert lab.alice.calls[0].over == ended


@pytest.mark.parametrize(
    ("kind", "status"), [("pjsip", "200 BYE"), ("libre", "481 BYE"), ("linphone", "481 BYE")]
)
def test_a_call_id_that_is_not_restored(kind: str, status: str) -> None:
    """Seen: the call is up; a BYE with the altered Call-ID is answered 481, by pjsua alone 200."""
    lab = make_lab(alice={"media_packets": 5, **settings(kind), "call_id_form": "token@host"})
    lab.net.filters.append(
        lambda each: (
            each.with_(b"@203.0.113.7\r\n", b"@198.18.0.9\r\n")
            if each.source == lab.alice.local and each.label in ("INVITE", "ACK")
            else each
        )
    )
    lab.register()
    lab.call()
    lab.net.run(3.0)
    assert lab.alice.calls[0].state is CallState.ESTABLISHED
    lab.hang_up(lab.bob)
    assert status in lab.net.labels()
