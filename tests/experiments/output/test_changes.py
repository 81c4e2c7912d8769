"""Marks are exact and small; a rule counts as broken only where the router broke it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.experiments.output.changes import Span, aligned, broken, change_of, marked
from siplab.experiments.output.fates import ending, words
from siplab.experiments.trial.entries import Entries
from siplab.lab.gateway.fate import Fate
from siplab.lab.gateway.gateway import Emission, Side
from siplab.lab.wire import ip
from siplab.lab.wire.compare import differences
from siplab.lab.wire.fragments import fragmented
from siplab.lab.wire.ip import Endpoint
from siplab.lab.worlds.trace import Passage

REGISTER = (
    b"REGISTER sip:lab.test SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.168.1.102:5060;rport;branch=z9hG4bKaf504ce017147ee1\r\n"
    b"Max-Forwards: 70\r\n"
    b"From: <sip:alice@lab.test>;tag=259a\r\n"
    b"To: <sip:alice@lab.test>\r\n"
    b"Call-ID: 7b86@192.168.1.102\r\n"
    b"CSeq: 1 REGISTER\r\n"
    b"Contact: <sip:alice@192.168.1.102:5060>\r\n"
    b"Content-Length: 0\r\n\r\n"
)
SDP = (
    b"v=0\r\no=a 1 1 IN IP4 192.168.1.102\r\ns=-\r\nc=IN IP4 192.168.1.102\r\nt=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0\r\n"
)
INVITE = REGISTER.replace(b"REGISTER", b"INVITE").replace(b"Length: 0", b"Length: %d" % len(SDP)) + SDP
PHONE, SERVER = Endpoint("192.168.1.102", 5060), Endpoint("198.51.100.10", 5060)

_LINES = st.sampled_from(
    [
        *REGISTER.splitlines(keepends=True),
        *SDP.splitlines(keepends=True),
        b"\n",
        b" folded\r\n",
        b"no end",
        b"\xc3\xa9\n",
    ]
)
MESSAGES = st.lists(_LINES, max_size=12).map(b"".join)
EDITS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 8), st.binary(max_size=6)), max_size=4)


def edited(text: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, length, new in edits:
        text = text[:at] + new + text[at + length :]
    return text


def without(text: bytes, spans: list[Span]) -> bytes:
    for start, end in reversed(spans):
        text = text[:start] + text[end:]
    return text


def texts(text: bytes, spans: list[Span]) -> list[bytes]:
    return [text[start:end] for start, end in spans]


def assert_exact(before: bytes, after: bytes) -> None:
    spans = marked(before, after)
    assert without(before, spans[0]) == without(after, spans[1])
    assert any(spans) == (before != after)
    for text, found in zip((before, after), spans, strict=True):
        ends = [end for span in found for end in span]
        assert ends == sorted(set(ends)), "marks are in order, none is empty, none touches the next"
        assert not ends or 0 <= ends[0] <= ends[-1] <= len(text)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_marks_are_all_that_differs_in_any_bytes(before: bytes, after: bytes) -> None:
    assert_exact(before, after)


@given(MESSAGES, MESSAGES)
def test_marks_are_all_that_differs_in_lines_of_messages(before: bytes, after: bytes) -> None:
    assert_exact(before, after)


@given(EDITS)
def test_marks_are_all_that_differs_in_an_edited_message(edits: list[tuple[int, int, bytes]]) -> None:
    assert_exact(INVITE, edited(INVITE, edits))


@given(st.integers(0, 8), st.binary(min_size=1, max_size=10).filter(lambda new: b"\n" not in new))
def test_an_edit_in_one_line_marks_that_line_only(number: int, new: bytes) -> None:
    lines = REGISTER.splitlines(keepends=True)
    lines[number] = lines[number][:-2] + new + b"\r\n"
    pairs = aligned(REGISTER, b"".join(lines))
    start = sum(len(line) for line in lines[:number])
    assert [pair.after.start for pair in pairs if pair.after] == [start]


def test_a_lost_semicolon_is_marked_with_the_port_beside_it() -> None:
    after = REGISTER.replace(b"192.168.1.102:5060;rport", b"203.0.113.7:61002rport")
    spans = marked(REGISTER, after)
    assert texts(REGISTER, spans[0]) == [b"192.168.1.102", b"5060;"]
    assert texts(after, spans[1]) == [b"203.0.113.7", b"61002"]


def test_another_random_word_is_marked_as_a_whole() -> None:
    after = REGISTER.replace(b"af504ce017147ee1", b"0c5e4ef117a4b2e9")
    spans = marked(REGISTER, after)
    assert len(spans[0]) == len(spans[1]) == 1


def test_a_header_more_or_less_is_marked_as_a_line() -> None:
    line = b"Max-Forwards: 70\r\n"
    less = REGISTER.replace(line, b"")
    assert texts(REGISTER, marked(REGISTER, less)[0]) == [line]
    assert texts(REGISTER, marked(less, REGISTER)[1]) == [line]
    assert [(pair.before is None, pair.after is None) for pair in aligned(less, REGISTER)] == [(True, False)]


def test_changed_headers_stand_beside_their_own_when_one_is_added_between() -> None:
    after = REGISTER.replace(b"Max-Forwards: 70", b"Max-Forwards: 69\r\nX-Seen: yes").replace(
        b"259a", b"1234"
    )
    pairs = [
        (pair.before.text[:4] if pair.before else b"", pair.after.text[:4] if pair.after else b"")
        for pair in aligned(REGISTER, after)
    ]
    assert sorted(pairs) == [(b"", b"X-Se"), (b"From", b"From"), (b"Max-", b"Max-")]


def test_what_is_too_much_to_compare_is_marked_whole() -> None:
    numbers = [b"%d" % number for number in range(3000)]
    before, after = b",".join(numbers), b",".join(reversed(numbers))
    assert marked(before, after) == ([Span(0, len(before))], [Span(0, len(after))])


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (b"REGISTER sip:lab.test", b"REGISTER sip:203.0.113.7", ["start line"]),
        (b"Via: SIP", b"v: SIP", ["Via"]),
        (b"Call-ID: 7b86", b"Call-ID: 7b87", ["Call-ID"]),
        (b"CSeq: 1", b"CSeq: 2", ["CSeq"]),
        (b"Max-Forwards: 70\r\n", b"", ["Max-Forwards"]),
        (b"Max-Forwards: 70\r\n", b"Max-Forwards: 70\r\nbroken\r\n", ["line without a name"]),
        (b"Content-Length: 0\r\n\r\n", b"Content-Length: 0\r\n\n", ["empty lines"]),
        (b"REGISTER sip", b"\r\nREGISTER sip", ["empty lines"]),
        (b"Length: 0\r\n\r\n", b"Length: 0\r\n\r\nx", ["body"]),
    ],
)
def test_the_names_of_what_differs(old: bytes, new: bytes, names: list[str]) -> None:
    assert differences(REGISTER, REGISTER.replace(old, new, 1)) == names


def test_the_names_of_what_differs_in_a_session_description() -> None:
    after = INVITE.replace(b"c=IN IP4 192.168.1.102", b"c=IN IP4 203.0.113.7").replace(b"49170", b"61004")
    assert differences(INVITE, after) == ["SDP c=", "SDP m="]
    assert differences(INVITE, INVITE + b"a=sendrecv\r\n") == ["body"]


def test_other_order_is_not_another_header() -> None:
    lines = REGISTER.splitlines(keepends=True)
    lines[2], lines[3] = lines[3], lines[2]
    assert differences(REGISTER, b"".join(lines)) == ["order of headers"]


@given(MESSAGES, MESSAGES)
def test_something_is_named_exactly_when_bytes_differ(before: bytes, after: bytes) -> None:
    assert bool(differences(before, after)) == (before != after)


def test_a_rule_that_was_broken_before_is_not_the_routers_doing() -> None:
    lost = REGISTER.replace(b"5060;rport", b"5060rport")
    assert [each.rule for each in broken(REGISTER, lost)] == ["via-missing-semicolon"]
    assert broken(lost, lost.replace(b"192.168.1.102:5060rport", b"203.0.113.7:61002rport")) == []
    assert broken(lost, REGISTER) == []


def test_the_same_rule_broken_once_more_counts() -> None:
    second = b"Via: SIP/2.0/UDP 198.51.100.10:5060rport;branch=z9hG4bK1\r\n"
    once = REGISTER.replace(b"5060;rport", b"5060rport")
    twice = once.replace(b"Max-Forwards", second + b"Max-Forwards")
    assert [each.rule for each in broken(once, twice)] == ["via-missing-semicolon"]


def test_of_what_was_no_message_no_rule_is_broken() -> None:
    assert broken(b"\x80\x00" + bytes(20), b"\x80\x00" + bytes(30)) == []


# -- packets ---------------------------------------------------------------------------------------


def passage(packet: bytes, *emissions: Emission) -> Passage:
    return Passage(0.0, "router", Side.INSIDE, packet, list(emissions))


def test_fragments_are_compared_as_the_whole_datagram() -> None:
    message = INVITE + b"a=x:" + b"y" * 2000 + b"\r\n"
    pieces = fragmented(ip.udp(PHONE, SERVER, message, dont_fragment=False), 1500, identification=7)
    assert len(pieces) == 2
    entries = Entries()
    assert entries.whole(passage(pieces[0])) is None
    entered = entries.whole(passage(pieces[1]))
    after = message.replace(b"49170", b"61004")
    left = Emission(Side.OUTSIDE, ip.udp(Endpoint("203.0.113.7", 61002), SERVER, after), changed=True)
    change = change_of(entered, left)
    assert change is not None
    assert (change.before, change.after, change.parts) == (message, after, ["SDP m="])


@pytest.mark.parametrize("complete", [True, False])
def test_over_tcp_only_whole_messages_are_compared(complete: bool) -> None:
    message = REGISTER if complete else REGISTER[:-40]
    entered = Entries().whole(passage(ip.tcp(PHONE, SERVER, message)))
    left = ip.tcp(PHONE, SERVER, message.replace(b"5060;rport", b"5060rport"))
    change = change_of(entered, Emission(Side.OUTSIDE, left, changed=True))
    assert (change is not None) == complete


def test_nothing_is_a_change_that_the_gateway_does_not_call_one() -> None:
    packet = ip.udp(PHONE, SERVER, REGISTER)
    entered = Entries().whole(passage(packet))
    assert change_of(entered, Emission(Side.OUTSIDE, packet)) is None
    assert change_of(entered, Emission(None, packet, Fate.FILTERED, changed=True)) is None
    assert change_of(None, Emission(Side.OUTSIDE, packet, changed=True)) is None


@pytest.mark.parametrize("packet", [b"", b"\x45\x00", ip.udp(PHONE, SERVER, b"x")[:-1], b"\xff" * 40])
def test_no_bytes_at_a_gateway_are_too_odd(packet: bytes) -> None:
    assert Entries().whole(passage(packet)) is None


@pytest.mark.parametrize(
    ("fate", "detail", "said"),
    [
        (Fate.NO_BINDING, "a to b", "dropped by router: no binding: a to b"),
        (Fate.DROPPED_BY_MODEL, "too long", "dropped by router's ALG: too long"),
        (Fate.DROPPED_BY_MODEL, "no binding of mine", "dropped by router's ALG: no binding of mine"),
        (Fate.HELD, "", "router: held by the ALG"),
        (Fate.FRAGMENT_KEPT, "", "router: fragment kept until the datagram is whole"),
    ],
)
def test_a_packet_that_is_kept_is_not_called_dropped(fate: Fate, detail: str, said: str) -> None:
    assert ending("router", Emission(None, b"", fate, detail)) == said
    assert ("dropped" in said) != fate.is_kept


@pytest.mark.parametrize("fate", Fate)
def test_every_fate_has_words(fate: Fate) -> None:
    assert bool(words(Emission(None, b"", fate))) == (fate is not Fate.FORWARDED)
    assert ending("router", Emission(None, b"", fate, error="E")).endswith("the model raised E") or (
        fate is Fate.FORWARDED
    )
