"""The model of the Linux kernel's ALG beside the kernel that runs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from siplab.experiments.calibration import (
    comparison,
    connections,
    corpus,
    fragments,
    kernel_side,
    model_side,
    places,
    probes,
)
from siplab.experiments.calibration.corpus import Case, Datagram, Piece
from siplab.experiments.calibration.known import KNOWN
from siplab.experiments.calibration.messages import MAX_SIZE
from siplab.experiments.calibration.outcome import Numbers
from siplab.experiments.trial import run as trial
from siplab.lab.wire.ip import ACK, PSH, SYN, Endpoint
from siplab.lab.worlds.emulated.bubble import Bubble
from tests.command import one_line_error, siplab
from tests.conftest import ROOT, OrdinaryUser

PHONE, PUBLIC, SERVER = (Endpoint(each, 5060) for each in ("192.168.1.102", "203.0.113.7", "198.51.100.10"))
HOME = trial.network("home")


# -- the corpus ----------------------------------------------------------------------------------------


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    assert corpus.cases(7, 400) == corpus.cases(7, 400)
    assert corpus.cases(7, 400) != corpus.cases(8, 400)
    assert corpus.cases(7, 400)[:20] == corpus.cases(7, 4000)[:20]


def test_the_corpus_has_what_it_says() -> None:
    cases = corpus.cases(1, 2000)
    datagrams = [each for case in cases for each in case.datagrams]
    assert len(datagrams) >= 2000
    assert all(case.datagrams[0].outbound for case in cases)
    assert max(len(each.payload) for each in datagrams) <= MAX_SIZE
    assert {case.kind.partition(",")[0] for case in cases} == {kind for _, (kind, _) in corpus._KINDS}
    text = b"\0".join(each.payload for each in datagrams)
    for quirk in (
        b"\nv: ", b"\nCONTACT: ", b"\nm: ", b"Contact: *", b":\r\n ", b":\r\n\t", b" : ", b"sips:",
        b"tel:", b"SIP:",
        b":65535", b":65536", b":1023", b":70000", b"@lab.test", b"198.51.100.20", b"maddr=",
        b"received=", b"rport=",
        b"expires=abc", b"transport=tcp", b"m=audio 0 ", b"m=image ", b"m=application ", b"c=IN IP4 0.0.0.0",
        b"c=IN IP6 ", b"IN IP4 media.lab.test", b"multipart/mixed", b"text/plain", b"SIP/2.0 401",
        b"SIP/2.0 abc",
        b"UPDATE ", b"PRACK ", b"CANCEL ", b"BYE ", b"\rVia", b"\nl: ", b"[2001:db8::5]",
    ):  # fmt: skip
        assert quirk in text, quirk
    assert any(b"\n" in each.payload and b"\r" not in each.payload for each in datagrams)
    assert any(b"Content-Length" not in each.payload and b"m=audio" in each.payload for each in datagrams)
    incoming = [each for each in datagrams if not each.outbound]
    assert any(each.payload.startswith(b"INVITE") and each.source.port == 5070 for each in incoming)


def test_connections_are_the_same_for_the_same_seed_and_of_all_kinds() -> None:
    cases = connections.cases(7, 600)
    assert cases == connections.cases(7, 600)
    assert cases != connections.cases(8, 600)
    assert {case.kind for case in cases} == {f"tcp, {way}" for _, way in connections._WAYS}


@pytest.mark.parametrize("more", [fragments, probes])
def test_fragments_and_probes_are_the_same_for_the_same_seed(more: ModuleType) -> None:
    cases = more.cases(7, 600)
    assert cases == more.cases(7, 600)
    assert cases != more.cases(8, 600)
    assert sum(len(each.datagrams) for each in cases) >= 600


def test_fragments_come_in_every_way() -> None:
    sent = [each for case in fragments.cases(7, 600) for each in case.datagrams]
    pieces = [each.piece for each in sent if each.piece is not None]
    assert any(each.begin % 8 == 0 and each.end % 8 and each.more for each in pieces)
    assert len({each.identification for each in pieces}) < len(pieces) < len(sent)
    assert all(len(bytes(each)) <= 1500 for each in sent)
    assert max(len(each.payload) for each in sent) > 3000


def test_probes_are_of_every_kind() -> None:
    """From both sides, at announced ports and their neighbours, by the peer and by a stranger."""
    cases = probes.cases(7, 600)
    sent = [each for case in cases for each in case.datagrams if each.payload.startswith(b"\x80\0")]
    assert {each.outbound for each in sent} == {True, False}
    outside = {(each.source if not each.outbound else each.destination).ip for each in sent}
    assert outside == {places.SERVER_IP, places.FOREIGN_IP}
    assert any(
        after.payload.startswith(b"\x80\0")
        for case in cases
        for before, after in pairwise(case.datagrams)
        if before.payload.startswith(b"BYE ")
    )


# -- the comparison --------------------------------------------------------------------------------------


def play_both(case: Case, model: str = "linux") -> comparison.Report:
    with Bubble("siplab.experiments.calibration.kernel_side:task") as bubble:
        outcomes = bubble.call(HOME, [case])
    chosen = trial.models().get(model)
    return comparison.compare([case], outcomes, [model_side.play(chosen, HOME, case)], model, 0)


@pytest.mark.needs("kernel-alg")
def test_the_model_is_the_kernel() -> None:
    report = comparison.run(trial.models().get("linux"), HOME, seed=2026, datagrams=300)
    assert report.datagrams >= 300
    assert report.changed > 100  # the kernel's ALG is there, and at work
    assert report.dropped > 20
    assert report.agreement >= 0.99, report.kinds()
    assert report.unexplained == []


def play_all(cases: list[Case], model: str = "linux") -> comparison.Report:
    with Bubble("siplab.experiments.calibration.kernel_side:task") as bubble:
        outcomes = bubble.call(HOME, cases)
    chosen = trial.models().get(model)
    modelled = [model_side.play(chosen, HOME, case) for case in cases]
    return comparison.compare(cases, outcomes, modelled, model, 0)


@pytest.mark.needs("kernel-alg")
def test_the_model_is_the_kernel_over_tcp() -> None:
    """Cut, together, out of order and again: each segment, its numbers included."""
    report = play_all(connections.cases(2026, 400))
    assert report.changed > 100
    assert report.differences == (), report.kinds()


@pytest.mark.needs("kernel-alg")
@pytest.mark.parametrize("more", [fragments, probes])
def test_the_model_is_the_kernel_with_fragments_and_media(more: ModuleType) -> None:
    report = play_all(more.cases(2026, 400))
    assert report.changed > 50
    assert report.unexplained == [], report.kinds()


def _of_size(size: int) -> bytes:
    """An OPTIONS whose Via and Contact name no port: the kernel writes it, which makes them longer."""
    head = (
        b"OPTIONS sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.102;branch=z9hG4bK1\r\n"
        b"From: <sip:a@lab.test>;tag=1\r\nTo: <sip:b@lab.test>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
        b"Contact: <sip:a@192.168.1.102>\r\nSubject: "
    )
    tail = b"\r\nContent-Length: 0\r\n\r\n"
    return head + b"x" * (size - len(head) - len(tail)) + tail


@pytest.mark.needs("kernel-alg")
def test_what_the_alg_makes_too_large_is_lost_if_it_may_not_be_cut() -> None:
    """1472 bytes fit a packet of 1500; six more do not."""
    whole = Datagram(True, PHONE, SERVER, _of_size(1472))
    may_be_cut = replace(whole, piece=Piece(7, 0, 1480, more=False))
    small = replace(whole, payload=_of_size(1466))
    case = Case("hand-made", (whole, may_be_cut, small))
    with Bubble("siplab.experiments.calibration.kernel_side:task") as bubble:
        (real,) = bubble.call(HOME, [case])
    assert [[len(each.payload) for each in left] for left in real] == [[], [1478], [1472]]
    assert model_side.play(trial.models().get("linux"), HOME, case) == real


@pytest.mark.needs("kernel-alg")
def test_an_old_segment_again_is_numbered_as_the_kernel_does_it() -> None:
    """Three messages lose two bytes at each of two addresses; the first comes again, wrongly numbered."""
    message = (
        b"OPTIONS sip:lab.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.168.1.102:5060;branch=z9hG4bK1\r\n"
        b"From: <sip:a@192.168.1.102:5060>;tag=1\r\nTo: <sip:b@lab.test>\r\nCall-ID: 1\r\n"
        b"CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
    there, back = Datagram(True, PHONE, SERVER, b""), Datagram(False, SERVER, PUBLIC, b"")
    segments = [
        replace(there, numbers=Numbers(1000, 0, SYN)),
        replace(back, numbers=Numbers(77000, 1001, SYN | ACK)),
    ]
    for at in (0, 1, 2, 0):
        numbers = Numbers(1001 + at * len(message), 77001, ACK | PSH)
        segments.append(replace(there, payload=message, numbers=numbers))
    case = Case("hand-made", tuple(segments))
    with Bubble("siplab.experiments.calibration.kernel_side:task") as bubble:
        (real,) = bubble.call(HOME, [case])
    ((again,),) = real[-1:]
    assert again.numbers == Numbers(1001 - 8, 77001, ACK | PSH)
    assert model_side.play(trial.models().get("linux"), HOME, case) == real


_Timed = tuple[float, Datagram, bool]  # when it is sent (in seconds), and whether it gets through


def _flow(number: int, *times: tuple[float, bool, bool]) -> Iterator[_Timed]:
    """A UDP flow of its own that no ALG looks at: when, whether going out, and whether it gets through."""
    inside, server = Endpoint(PHONE.ip, 40000 + number), Endpoint(SERVER.ip, 41000)
    out = Datagram(True, inside, server, b"x")
    back = Datagram(False, server, Endpoint(PUBLIC.ip, inside.port), b"y")
    for seconds, outbound, passes in times:
        yield seconds, out if outbound else back, passes


def _call(port: int, media: int, *times: tuple[float, bool]) -> Iterator[_Timed]:
    """A call offered from ``port``, and RTP that only comes in: when, and whether it gets through."""
    body = f"v=0\r\no=a 1 1 IN IP4 {PHONE.ip}\r\ns=-\r\nc=IN IP4 {PHONE.ip}\r\nt=0 0\r\n"
    body += f"m=audio {media} RTP/AVP 0\r\n"
    text = (
        f"INVITE sip:b@lab.test SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE.ip}:{port};branch=z9hG4bK1\r\n"
        f"From: <sip:a@lab.test>;tag=1\r\nTo: <sip:b@lab.test>\r\nCall-ID: {port}\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:a@{PHONE.ip}:{port}>\r\nContent-Type: application/sdp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    yield 0.0, Datagram(True, Endpoint(PHONE.ip, port), SERVER, text.encode()), True
    rtp = Datagram(False, Endpoint(SERVER.ip, 30000), Endpoint(PUBLIC.ip, media), b"\x80\0rtp")
    for seconds, passes in times:
        yield seconds, rtp, passes


@pytest.mark.deep
@pytest.mark.needs("kernel-alg")
def test_timers_are_the_kernels() -> None:
    """All in one wait of 201 s: no packet comes nearer than 2 s to the end of a timer."""
    out, back = True, False
    timed = [
        # Answered or not, a flow lives 30 s as long as it is not used more than 2 s after it began...
        *_flow(0, (0, out, True), (28, back, True)),
        *_flow(1, (0, out, True), (32, back, False)),
        *_flow(2, (0, out, True), (1, back, True), (29, back, True)),
        *_flow(3, (0, out, True), (1, back, True), (33, back, False)),
        # ... after an answer: the answer itself does not count.
        *_flow(4, (0, out, True), (4, back, True), (32, back, True)),
        *_flow(5, (0, out, True), (4, back, True), (36, back, False)),
        # From then on it is 120 s.
        *_flow(6, (0, out, True), (1, back, True), (4, out, True), (122, back, True)),
        *_flow(7, (0, out, True), (1, back, True), (4, back, True), (126, back, False)),
        # A stream that only comes in is never answered: 30 s, for how long it may ever go on.
        *_call(5060, 50000, (1, True), (5, True), (33, True), (61, True), (93, False)),
        # An expectation that nobody has met waits for 180 s, and until the kernel's timer wheel comes round.
        *_call(5062, 50100, (178, True)),
        *_call(5064, 50200, (201, False)),
    ]
    timed.sort(key=lambda each: each[0])
    times = [0.0, *(seconds for seconds, _, _ in timed)]
    waits = [after - before for before, after in pairwise(times)]
    sent = [replace(each, after=wait) for (_, each, _), wait in zip(timed, waits, strict=True)]
    case = Case("timers", tuple(sent))
    with Bubble("siplab.experiments.calibration.kernel_side:task") as bubble:
        (real,) = bubble.call(HOME, [case])
    wanted = [passes for _, _, passes in timed]
    modelled = model_side.play(trial.models().get("linux"), HOME, case)
    assert [bool(left) for left in real] == wanted
    assert [bool(left) for left in modelled] == wanted
    assert modelled == real


@pytest.mark.needs("kernel-alg")
@pytest.mark.parametrize("model", ["none", "correct"])
def test_another_model_is_not(model: str) -> None:
    report = comparison.run(trial.models().get(model), HOME, seed=2026, datagrams=300)
    assert report.agreement < 0.8
    assert not report.enough
    assert report.unexplained


@pytest.mark.needs("kernel-alg")
def test_a_drop_is_seen_and_so_is_what_comes_after_it() -> None:
    """A response without CSeq is dropped by the kernel; nothing waits for it."""
    bad = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 203.0.113.7:5060\r\n\r\n"
    good = bad.replace(b"\r\n\r\n", b"\r\nCSeq: 1 OPTIONS\r\n\r\n")
    case = Case(
        "hand-made",
        (
            Datagram(True, PHONE, SERVER, b"OPTIONS sip:198.51.100.10 SIP/2.0\r\n\r\n"),
            Datagram(False, SERVER, PUBLIC, bad),
            Datagram(False, SERVER, PUBLIC, good),
        ),
    )
    with Bubble("siplab.experiments.calibration.kernel_side:task") as bubble:
        ((first, second, third),) = bubble.call(HOME, [case])
    assert [(each.source, each.destination) for each in first] == [(PUBLIC, SERVER)]
    assert second == []
    assert [(each.destination, each.payload) for each in third] == [
        (PHONE, good.replace(b"203.0.113.7", b"192.168.1.102"))
    ]


def _registered(port: int, caller: int) -> Iterator[Datagram]:
    """A phone that sends from one port and listens at 5060, and is called from a port of the registrar's."""
    text = (
        "REGISTER sip:lab.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.102:5060;branch=z9hG4bK1\r\n"
        "From: <sip:a@lab.test>;tag=1\r\nTo: <sip:a@lab.test>\r\nCall-ID: 1\r\nCSeq: 1 REGISTER\r\n"
        "Contact: <sip:a@192.168.1.102:5060>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    )
    public = Endpoint(PUBLIC.ip, port)
    yield Datagram(True, Endpoint(PHONE.ip, port), SERVER, text.encode())
    answer = f"SIP/2.0 200 OK\r\nCSeq: 1 REGISTER\r\nContact: <sip:a@{public}>\r\nExpires: 3600\r\n\r\n"
    yield Datagram(False, SERVER, public, answer.encode())
    call = f"INVITE sip:a@{public} SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n"
    yield Datagram(False, Endpoint(SERVER.ip, caller), public, call.encode())
    ringing = b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.168.1.102:5060>\r\n\r\n"
    yield Datagram(True, PHONE, Endpoint(SERVER.ip, caller), ringing)


@pytest.mark.needs("kernel-alg")
def test_the_difference_in_shared_ports_is_still_there() -> None:
    """The documentation says so; when the model has learnt it, this is the place to say so too."""
    report = play_both(Case("hand-made", tuple(_registered(49152, 5070))))
    assert [(each.index, each.known) for each in report.differences] == [(3, "shared-port")]
    for port, caller in ((49152, 5060), (5060, 5070)):
        assert play_both(Case("hand-made", tuple(_registered(port, caller)))).differences == ()


@pytest.mark.needs("kernel-alg")
def test_the_difference_in_replies_is_still_there() -> None:
    """The caller's Via names another port than it sends from: the kernel answers there."""
    register, accepted, invite, ringing = _registered(5060, 5070)
    via = b"\r\nVia: SIP/2.0/UDP 198.51.100.10:5080;branch=z9hG4bK2\r\nCSeq"
    invite = replace(invite, payload=invite.payload.replace(b"\r\nCSeq", via))
    report = play_both(Case("hand-made", (register, accepted, invite, ringing)))
    assert [(each.index, each.known) for each in report.differences] == [(3, "reply-elsewhere")]
    assert [each.destination.port for each in report.differences[0].kernel] == [5080]


def test_every_known_difference_is_documented() -> None:
    text = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    for each in KNOWN:
        assert f"`{each.id}`" in text


# -- the command -------------------------------------------------------------------------------------------


@pytest.mark.needs("kernel-alg")
def test_the_command_prints_and_writes(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    done = siplab("calibrate", "--messages", "60", "--seed", "2026", "--json", str(file))
    assert done.returncode == 0, (done.stdout, done.stderr)
    data = json.loads(file.read_text())
    assert data["agreement"] >= 0.99
    assert data["kernel"] == kernel_side.version()
    assert f"{data['datagrams']} datagrams in {data['cases']} cases" in done.stdout
    assert data["kernel"] in done.stdout
    assert f"{100 * data['agreement']:.2f} %" in done.stdout


@pytest.mark.needs("kernel-alg")
def test_an_ordinary_user_can_do_it(ordinary_user: OrdinaryUser) -> None:
    done = ordinary_user.run(["-m", "siplab", "calibrate", "--messages", "60", "--seed", "2026"])
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "model   linux agrees on" in done.stdout


def test_the_command_refuses_bad_input(tmp_path: Path) -> None:
    done = siplab("calibrate", "--json", str(tmp_path / "missing" / "x.json"))
    one_line_error(done, "siplab")
    assert siplab("calibrate", "--messages", "0").returncode == 2
