"""Header readers: right spans for valid values, and no exception for any bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siplab.lab.wire import headers
from siplab.lab.wire.headers import HostPort

FRAGMENTS = st.lists(
    st.sampled_from(
        [b"SIP/2.0/UDP ", b"192.168.1.20", b":5060", b";", b"branch=", b"z9hG4bK", b",", b'"', b"\\",
         b"<", b">", b"sip:", b"a@", b"[2001:db8::1]", b"[", b"]", b"=", b" ", b"\r\n ", b"\xff", b"\0",
         b"tag", b"lr", b"?", b"99999999999"]
    ),
    max_size=20,
).map(b"".join)  # fmt: skip
ANY = st.one_of(FRAGMENTS, st.binary(max_size=80))


@given(ANY)
def test_readers_never_raise_and_their_spans_hold(value: bytes) -> None:
    for via in headers.vias(value):
        place = via.sent_by
        assert value[place.start : place.start + len(place.host)] == place.host
        assert via.start <= place.start < place.end <= via.end <= len(value)
        assert isinstance(via.branch, bytes)
    for place in headers.uris(value):
        assert value[place.start : place.start + len(place.host)] == place.host
        assert place.start < place.end <= len(value)
        assert place.bare_host == place.host.strip(b"[]")
    for name, start, end in headers.parameter_spans(value):
        assert name == name.lower()
        assert value[:start].rstrip().endswith((b"=", name)) or name in value[:start].lower()
        assert 0 <= start <= end <= len(value)
    assert len(headers.mask_quoted(value)) == len(value)
    uri = headers.parse_uri(value)
    assert uri is None or uri.scheme in (b"sip", b"sips")
    assert isinstance(headers.name_addr(value).uri, bytes)
    assert isinstance(headers.tag_of(value), bytes)
    sequence = headers.cseq(value)
    assert sequence is None or sequence[0] >= 0


@given(ANY)
def test_a_list_is_split_at_commas_and_nowhere_else(value: bytes) -> None:
    spans = headers.split_list(value)
    assert b",".join(value[start:end] for start, end in spans) == value
    assert spans[0][0] == 0
    assert spans[-1][1] == len(value)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        (b"a", [b"a"]),
        (b"", [b""]),
        (b"a, b,c", [b"a", b" b", b"c"]),
        (b'"x, y" <sip:a@b>, <sip:c,d@e>', [b'"x, y" <sip:a@b>', b" <sip:c,d@e>"]),
        (b'"a \\", b", c', [b'"a \\", b"', b" c"]),
        (b"a>, b", [b"a>", b" b"]),
    ],
)
def test_split_list(value: bytes, parts: list[bytes]) -> None:
    assert [value[start:end] for start, end in headers.split_list(value)] == parts


def test_mask_quoted_keeps_everything_else() -> None:
    assert headers.mask_quoted(b'a "b;c" d "e') == b'a xxxxx d "e'
    assert headers.mask_quoted(b'"\\"" <sip:a>') == b"xxxx <sip:a>"


def test_vias() -> None:
    value = (
        b"SIP/2.0/UDP 192.168.1.20:5060;rport;Branch=z9hG4bK1 ,sip / 2.0 / tcp [2001:db8::1] ; received=[::2]"
    )
    first, second = headers.vias(value)
    assert (first.transport, first.sent_by) == (b"UDP", HostPort(b"192.168.1.20", 5060, 12, 29))
    assert first.parameters == {b"rport": b"", b"branch": b"z9hG4bK1"}
    assert first.branch == b"z9hG4bK1"
    assert value[second.start : second.end].startswith(b"sip / 2.0")
    assert (second.transport, second.sent_by.host, second.sent_by.port) == (b"tcp", b"[2001:db8::1]", None)
    assert second.sent_by.bare_host == b"2001:db8::1"
    assert second.parameters == {b"received": b"[::2]"}
    assert second.branch == b""


@pytest.mark.parametrize(
    "value", [b"", b"UDP 1.2.3.4", b"SIP/1.0/UDP 1.2.3.4", b"SIP/2.0/UDP", b"SIP/2.0/UDP ;x"]
)
def test_unreadable_vias_are_left_out(value: bytes) -> None:
    assert headers.vias(value) == []
    assert len(headers.vias(value + b", SIP/2.0/UDP host")) == 1


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"<sip:alice@192.168.1.20:5060;lr>", [(b"192.168.1.20", 5060)]),
        (
            b'"sip:no@1.1.1.1" <sips:a@[2001:db8::1]:5061>, sip:b.example',
            [(b"[2001:db8::1]", 5061), (b"b.example", None)],
        ),
        (b"<tel:+123>", []),
        (b"<sip:1.2.3.4:70002>", [(b"1.2.3.4", 70002)]),
        (b"sip:user;par=1:pw@host", [(b"host", None)]),
    ],
)
def test_uris(value: bytes, found: list[tuple[bytes, int | None]]) -> None:
    places = headers.uris(value)
    assert [(place.host, place.port) for place in places] == found
    for place in places:
        suffix = b"" if place.port is None else b":%d" % place.port
        assert value[place.start : place.end] == place.host + suffix


def test_parse_uri() -> None:
    uri = headers.parse_uri(b"SIP:alice:pw@192.168.1.20:5070;Transport=tcp;lr?Subject=x;y=z")
    assert uri is not None
    assert uri == (b"sip", b"alice:pw", b"192.168.1.20", 5070, {b"transport": b"tcp", b"lr": b""})
    bare = headers.parse_uri(b"sips:[::1]")
    assert bare is not None
    assert (bare.user, bare.host, bare.bare_host, bare.port, bare.parameters) == (
        b"",
        b"[::1]",
        b"::1",
        None,
        {},
    )


@pytest.mark.parametrize(
    "text", [b"", b"alice", b"tel:+1", b"sip:", b"sip:a@", b"sip:host:5060transport=udp", b"sip:h>"]
)
def test_parse_uri_gives_none_for_what_it_cannot_read(text: bytes) -> None:
    assert headers.parse_uri(text) is None


@pytest.mark.parametrize(
    ("value", "uri", "parameters"),
    [
        (b"<sip:a@b;lr>;tag=1", b"sip:a@b;lr", {b"tag": b"1"}),
        (b"sip:a@b;tag=1", b"sip:a@b", {b"tag": b"1"}),
        (b"sip:a@b", b"sip:a@b", {}),
        (b'"<x>;tag=0" < sip:a@b > ; TAG = 1 ; x="a;b"', b"sip:a@b", {b"tag": b"1", b"x": b'"a;b"'}),
        (b"<sip:a@b", b"sip:a@b", {}),
        (b"", b"", {}),
        (b"<sip:a@b>;tag=1;tag=2", b"sip:a@b", {b"tag": b"1"}),
    ],
)
def test_name_addr(value: bytes, uri: bytes, parameters: dict[bytes, bytes]) -> None:
    assert headers.name_addr(value) == (uri, parameters)
    assert headers.tag_of(value) == parameters.get(b"tag", b"")


def test_parameter_spans_point_at_values() -> None:
    value = b'<sip:a>;Expires=60;lr;x="a;b"'
    spans = list(headers.parameter_spans(value, value.index(b">")))
    assert [(name, value[start:end]) for name, start, end in spans] == [
        (b"expires", b"60"),
        (b"lr", b""),
        (b"x", b'"a;b"'),
    ]
    assert spans[1][1] == value.index(b";x")
    assert headers.parameters(value, 0, value.index(b";lr")) == {b"expires": b"60"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1 INVITE", (1, b"INVITE")),
        (b"4294967295\r\n ACK", (4294967295, b"ACK")),
        (b"1", None),
        (b"INVITE 1", None),
        (b"-1 INVITE", None),
        (b"99999999999 INVITE", None),
        (b"1 INVITE x", None),
        (b"", None),
    ],
)
def test_cseq(value: bytes, expected: tuple[int, bytes] | None) -> None:
    assert headers.cseq(value) == expected
