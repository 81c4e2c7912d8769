"""Session descriptions are lossless, and an edit stays within its line."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from siplab.lab.wire.sdp import Sdp, SdpLine, address_of, set_address

BODY = (
    b"v=0\r\n"
    b"o=alice 1 2 IN IP4 192.168.1.20\r\n"
    b"s=-\n"
    b"c=IN IP4 192.168.1.20\r\n"
    b"t=0 0\r\n"
    b"m=audio 49170 RTP/AVP 0 8\r\n"
    b"a=rtcp:49171\r\n"
    b"a=rtcp-mux\r\n"
    b"a=sendrecv\r\n"
    b"m=video 51372/2 RTP/AVP 31\r\n"
    b"c=IN IP6 2001:db8::20\r\n"
    b"a=sendrecv:no"
)

LINES = st.sampled_from(
    [b"v=0", b"o=- 1 1 IN IP4 10.0.0.5", b"c=IN IP4 10.0.0.5/127", b"m=audio 49170 RTP/AVP 0",
     b"m=audio x/2", b"m=", b"a=rtcp:1", b"", b"=", b"junk", b"c=IN IP4", b"c= / / /",
     b"o=4 4 4 IN IP4 4/4", b"m=a 0/3 b  c", b"\0", b"\xff=\xff"]
)  # fmt: skip
BODIES = st.one_of(
    st.lists(st.tuples(LINES, st.sampled_from([b"\r\n", b"\n", b"\r", b""])).map(b"".join), max_size=10).map(
        b"".join
    ),
    st.binary(max_size=120),
)


@given(BODIES)
def test_parsing_loses_nothing(data: bytes) -> None:
    sdp = Sdp.parse(data)
    assert bytes(sdp) == data
    assert sdp.session.media is None
    assert sdp.sections == [sdp.session, *sdp.media]
    for section in sdp.sections:
        assert section.port is None or section.port >= 0
        for line in section.lines:
            assert line.raw.startswith(line.type + (b"=" if line.type else b"") + line.value)
            assert isinstance(address_of(line), bytes)
            assert repr(line).isprintable()


def test_parts() -> None:
    sdp = Sdp.parse(BODY)
    audio, video = sdp.media
    assert (audio.port, video.port, sdp.session.port) == (49170, 51372, None)
    assert [line.value for line in audio.attributes(b"rtcp")] == [b"rtcp:49171"]
    assert len(audio.attributes(b"sendrecv")) == len(video.attributes(b"sendrecv")) == 1
    assert sdp.session.attributes(b"sendrecv") == []
    assert sdp.session.first(b"z") is None
    assert sdp.connection(audio) is sdp.session.first(b"c")
    assert sdp.connection(video) is video.first(b"c")
    assert address_of(sdp.connection(video)) == b"2001:db8::20"
    assert address_of(sdp.session.first(b"o")) == b"192.168.1.20"


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        (b"c=IN IP4 224.2.1.1/127/3\r\n", b"224.2.1.1"),
        (b"c=IN IP4\r\n", b""),
        (b"c=", b""),
        (b"o=- 1 1 IN IP4 pc.example.org\n", b"pc.example.org"),
        (b"o=- 1 IN IP4 10.0.0.5\r\n", b""),
        (b"a=IN IP4 10.0.0.5\r\n", b""),
        (b"c=IN  IP4\t10.0.0.5 \r\n", b"10.0.0.5"),
    ],
)
def test_address_of(raw: bytes, address: bytes) -> None:
    assert address_of(SdpLine(raw)) == address


def test_address_of_nothing_is_empty() -> None:
    assert address_of(None) == b""


@pytest.mark.parametrize(
    ("raw", "after"),
    [
        (b"c=IN IP4 192.168.1.20\r\n", b"c=IN IP4 203.0.113.7\r\n"),
        (b"c=IN IP4 224.2.1.1/127\n", b"c=IN IP4 203.0.113.7/127\n"),
        (b"c=IN  IP4\t10.0.0.5 \r\n", b"c=IN  IP4\t203.0.113.7 \r\n"),
        (b"o=10.0.0.5 1 1 IN IP4 10.0.0.5", b"o=10.0.0.5 1 1 IN IP4 203.0.113.7"),
        (b"o=4 4 4 IN IP4 4/4\r\n", b"o=4 4 4 IN IP4 203.0.113.7/4\r\n"),
        (b"c=IN IP4\r\n", b"c=IN IP4\r\n"),
        (b"a=IN IP4 10.0.0.5\r\n", b"a=IN IP4 10.0.0.5\r\n"),
    ],
)
def test_set_address_changes_the_address_only(raw: bytes, after: bytes) -> None:
    line = SdpLine(raw)
    set_address(line, b"203.0.113.7")
    assert line.raw == after


@given(BODIES, st.integers(0, 99999))
def test_setting_ports_changes_ports_only(data: bytes, port: int) -> None:
    sdp = Sdp.parse(data)
    for section in sdp.media:
        old, media = section.port, section.media
        assert media is not None
        before = media.raw
        section.port = port
        if old is None:
            assert media.raw == before
        else:
            assert section.port == port
            kind, number, *rest = before.split(b" ")
            assert media.raw.split(b" ")[0] == kind
            assert media.raw.split(b" ")[2:] == rest
            assert media.raw.split(b" ")[1] == b"%d" % port + number.lstrip(b"0123456789")
    untouched = [line.raw for section in Sdp.parse(data).sections for line in section.lines]
    assert [line.raw for section in sdp.sections for line in section.lines] == untouched


def test_the_port_count_stays() -> None:
    sdp = Sdp.parse(BODY)
    sdp.media[1].port = 61500
    assert bytes(sdp) == BODY.replace(b"51372/2", b"61500/2")
    sdp.session.port = 9
    assert bytes(sdp) == BODY.replace(b"51372/2", b"61500/2")


@given(BODIES, st.binary(max_size=6), st.data())
def test_assigning_a_value_keeps_type_and_line_ending(data: bytes, new: bytes, draw: st.DataObject) -> None:
    sdp = Sdp.parse(data)
    lines = [line for section in sdp.sections for line in section.lines]
    assume(lines)
    line = draw.draw(st.sampled_from(lines))
    at = sum(len(each.raw) for each in _in_order(sdp)[: _in_order(sdp).index(line)])
    start = at + (2 if line.type else 0)
    end = start + len(line.value)
    line.value = new
    assert line.value == new
    assert bytes(sdp) == data[:start] + new + data[end:]


def _in_order(sdp: Sdp) -> list[SdpLine]:
    return [
        line
        for section in sdp.sections
        for line in ([section.media] if section.media is not None else []) + section.lines
    ]
