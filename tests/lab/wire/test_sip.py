"""SIP messages are lossless, and an edit changes what it names and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from siplab.lab.wire.sip import COMPACT_FORMS, Field, SipMessage, canonical_name, split_stream

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1\r\n"
    b"v: SIP/2.0/UDP 192.168.1.21\r\n"
    b"Call-ID:a84b\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"X-Odd :  spaced \t\r\n"
    b"no colon here\r\n"
    b"Contact:\r\n  <sip:alice@192.168.1.20>\r\n"
    b"Supported: \r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"body"
)

NAMES = st.sampled_from(
    [b"Via", b"v", b"VIA", b"Contact", b"m", b"From", b"Call-ID", b"i", b"Content-Length", b"l",
     b"X-Unknown", b"Content-Length ", b"", b"\xffname", b"CSeq"]
)  # fmt: skip
ENDINGS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\r\n"])
VALUES = st.one_of(
    st.sampled_from(
        [b"", b"0", b"4", b"99999", b"1 INVITE", b"SIP/2.0/UDP 192.168.1.20:5060;rport", b"<sip:a@b>"]
    ),
    st.binary(max_size=12).filter(lambda value: b"\n" not in value),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Bytes that look like SIP: folded, compact, repeated, LF-only, junk, and sometimes cut short."""
    starts = [b"INVITE sip:a@b SIP/2.0", b"SIP/2.0 200 OK", b"sip/2.0 99999", b" junk", b"", b"\x00\x01"]
    parts = [
        draw(st.sampled_from([b"", b"", b"\r\n\r\n", b"\n"])),
        draw(st.sampled_from(starts)),
        draw(ENDINGS),
    ]
    for _ in range(draw(st.integers(0, 6))):
        parts += [
            draw(NAMES),
            draw(st.sampled_from([b":", b": ", b" :\t", b""])),
            draw(VALUES),
            draw(ENDINGS),
        ]
        if draw(st.booleans()):
            parts += [draw(st.sampled_from([b" ", b"\t", b"  "])), draw(VALUES), draw(ENDINGS)]
    parts += [draw(st.sampled_from([b"\r\n", b"\n", b""])), draw(st.binary(max_size=20))]
    data = b"".join(parts)
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


ANY = st.one_of(messages(), st.binary(max_size=200))


@given(ANY)
@example(b"")
@example(b"\r\n\r\n")
@example(b"\r")
@example(INVITE)
@example(INVITE.replace(b"\r\n", b"\n"))
def test_parsing_loses_nothing(data: bytes) -> None:
    message = SipMessage.parse(data)
    assert bytes(message) == data
    assert message.prefix.strip(b"\r\n") == b""
    at = len(message.prefix) + len(message.start_line)
    for field in message.fields:
        assert message.offset_of(field) == at
        assert data[at:].startswith(field.raw)
        assert field.raw[field.value_offset :].startswith(field.value)
        assert field.value == field.value.strip(b" \t\r\n") or not field.name
        at += len(bytes(field))
    assert message.body_offset == at + len(message.separator)
    assert data[message.body_offset :] == message.body


@given(ANY)
def test_readers_never_raise(data: bytes) -> None:
    message = SipMessage.parse(data)
    assert message.status is None or 0 <= message.status <= 999
    assert message.is_sip == (message.is_request or message.is_response)
    assert not (message.request_uri and message.is_response)
    assert isinstance(message.method, bytes)
    assert message.content_length is None or message.content_length >= 0
    assert repr(message).isprintable()


def test_pieces_of_a_message() -> None:
    message = SipMessage.parse(b"\r\n" + INVITE)
    assert message.prefix == b"\r\n"
    assert message.start_line == b"INVITE sip:bob@example.com SIP/2.0\r\n"
    assert [field.name for field in message.fields] == [
        b"via", b"via", b"call-id", b"cseq", b"x-odd", b"", b"contact", b"supported", b"content-length",
    ]  # fmt: skip
    assert [field.value for field in message.all(b"via")] == [
        b"SIP/2.0/UDP 192.168.1.20:5060;branch=z9hG4bK1",
        b"SIP/2.0/UDP 192.168.1.21",
    ]
    assert message.value(b"contact") == b"<sip:alice@192.168.1.20>"
    assert message.value(b"x-odd") == b"spaced"
    assert message.value(b"supported", b"default") == b""
    assert message.value(b"to", b"default") == b"default"
    assert message.get(b"to") is None
    assert message.value(b"") == b"no colon here"
    assert message.content_length == 4
    assert message.body == b"body"


@pytest.mark.parametrize(
    ("line", "method", "uri", "status"),
    [
        (b"INVITE sip:bob@example.com SIP/2.0\r\n", b"INVITE", b"sip:bob@example.com", None),
        (b"invite sip:b SIP/2.0\n", b"invite", b"sip:b", None),
        (b"INVITE  sip:b \t SIP/2.0 \r\n", b"INVITE", b"sip:b", None),
        (b"INVITE sip:b c SIP/2.0\r\n", b"INVITE", b"sip:b c", None),
        (b"INVITE sip:b SIP/3.0\r\n", b"INVITE", b"sip:b", None),
        (b"INVITE sip:b HTTP/1.1\r\n", b"", b"", None),
        (b"INVITE SIP/2.0\r\n", b"", b"", None),
        (b"SIP/2.0 200 OK\r\n", b"", b"", 200),
        (b"sip/2.0 486\r\n", b"", b"", 486),
        (b"SIP/2.0 4860\r\n", b"", b"", None),
        (b"SIP/2.0 OK\r\n", b"", b"", None),
    ],
)
def test_start_lines(line: bytes, method: bytes, uri: bytes, status: int | None) -> None:
    message = SipMessage.parse(line + b"\r\n")
    assert (message.method, message.request_uri, message.status) == (method, uri, status)
    assert message.is_request == bool(method)
    assert message.is_response == (line[:4].upper() == b"SIP/")


def test_the_method_of_a_response_is_that_of_its_cseq() -> None:
    assert SipMessage.parse(b"SIP/2.0 200 OK\r\nCSeq: 1 BYE\r\n\r\n").method == b"BYE"
    assert SipMessage.parse(b"SIP/2.0 200 OK\r\nCSeq: 1\r\n\r\n").method == b""


def test_a_start_line_of_blanks_is_read_in_linear_time() -> None:
    for line in (b"A" + b" " * 60000, b"A " * 30000, b"A" + b" SIP/2.0" * 8000 + b"x", b"A " + b"\t" * 60000):
        assert not SipMessage.parse(line + b"\r\n\r\n").is_request


@pytest.mark.parametrize(("short", "full"), COMPACT_FORMS.items())
def test_compact_forms_are_the_same_header(short: bytes, full: bytes) -> None:
    assert canonical_name(short) == canonical_name(short.upper()) == canonical_name(full.title()) == full


def test_unknown_names_are_lower_cased_only() -> None:
    assert canonical_name(b"X-Foo \t") == b"x-foo"
    assert canonical_name(b"z") == b"z"


@given(ANY, st.data())
def test_replace_changes_the_span_that_it_names(data: bytes, draw: st.DataObject) -> None:
    message = SipMessage.parse(data)
    assume(message.fields)
    field = draw.draw(st.sampled_from(message.fields))
    before, offset, raw = field.value, message.offset_of(field) + field.value_offset, field.raw
    start = draw.draw(st.integers(0, len(before)))
    end = draw.draw(st.integers(start, len(before)))
    new = draw.draw(st.binary(max_size=8))
    field.replace(start, end, new)
    assert bytes(message) == data[: offset + start] + new + data[offset + end :]
    assert field.value == before[:start] + new + before[end:]
    field.replace(start, start + len(new), before[start:end])
    assert field.raw == raw


@given(st.binary(max_size=40), st.lists(st.integers(0, 40), max_size=8), st.binary(max_size=3))
def test_replacing_all_is_replacing_each_from_the_back(value: bytes, cuts: list[int], new: bytes) -> None:
    together, singly = Field(b"X: " + value + b"\r\n"), Field(b"X: " + value + b"\r\n")
    ends = sorted(min(cut, len(together.value)) for cut in cuts)
    edits = [(start, end, new) for start, end in zip(ends[::2], ends[1::2], strict=False)]
    for start, end, text in reversed(edits):
        singly.replace(start, end, text)
    together.replace_all(reversed(edits))
    assert (together.raw, together.value_offset) == (singly.raw, singly.value_offset)
    assert together.value == singly.value


@given(ANY, st.data())
def test_assigning_a_value_keeps_name_and_line_ending(data: bytes, draw: st.DataObject) -> None:
    message = SipMessage.parse(data)
    assume(message.fields)
    field = draw.draw(st.sampled_from(message.fields))
    old, offset = field.value, message.offset_of(field) + field.value_offset
    new = draw.draw(st.binary(min_size=1, max_size=8))
    field.value = new
    assert field.value == new
    assert bytes(message) == data[:offset] + new + data[offset + len(old) :]


@pytest.mark.parametrize(
    ("raw", "after"),
    [
        (b"Call-ID:\r\n", b"Call-ID:x\r\n"),
        (b"Call-ID: \r\n", b"Call-ID: x\r\n"),
        (b"Call-ID: \n", b"Call-ID: x\n"),
        (b"Call-ID:", b"Call-ID:x"),
        (b"Call-ID: \r\n \r\n", b"Call-ID: \r\n x\r\n"),
        (b"Call-ID:  a b \r\n", b"Call-ID:  x \r\n"),
        (b"Call-ID: a\r\n b\r\n", b"Call-ID: x\r\n"),
        (b"no colon\r\n", b"x\r\n"),
    ],
)
def test_a_new_value_stands_before_the_line_ending(raw: bytes, after: bytes) -> None:
    field = Field(raw)
    field.value = b"x"
    assert bytes(field) == after
    assert field.value == b"x"


def test_made_fields_are_spelled_plainly() -> None:
    field = Field.make(b"Max-Forwards", b"70")
    assert (bytes(field), field.name, field.value) == (b"Max-Forwards: 70\r\n", b"max-forwards", b"70")


def test_request_uri_setter_changes_the_uri_only() -> None:
    message = SipMessage.parse(
        b"\r\n" + INVITE.replace(b"INVITE sip:bob@example.com ", b"INVITE \tsip:bob@example.com  ")
    )
    before = bytes(message)
    message.request_uri = b"sip:bob@192.168.1.20"
    assert bytes(message) == before.replace(b"sip:bob@example.com", b"sip:bob@192.168.1.20")
    assert message.request_uri == b"sip:bob@192.168.1.20"


@pytest.mark.parametrize("data", [b"SIP/2.0 200 OK\r\n\r\n", b"junk\r\n\r\n", b""])
def test_request_uri_setter_leaves_what_is_no_request(data: bytes) -> None:
    message = SipMessage.parse(data)
    message.request_uri = b"sip:x"
    assert bytes(message) == data


@given(
    st.sampled_from(
        [b"Content-Length: 4", b"l:4", b"Content-Length: junk", b"Content-Length:", b"CONTENT-LENGTH :  99"]
    )
)
def test_fit_content_length_changes_the_number_only(spelling: bytes) -> None:
    data = INVITE.replace(b"Content-Length: 4", spelling)
    message = SipMessage.parse(data)
    message.body = b"another body"
    message.fit_content_length()
    prefix = spelling.rstrip(b"4junk9") if b"junk" not in spelling else b"Content-Length: "
    assert bytes(message) == data.replace(spelling + b"\r\n", prefix + b"12\r\n").replace(
        b"\r\nbody", b"\r\nanother body"
    )
    assert message.content_length == 12


def test_fit_content_length_adds_none() -> None:
    data = b"BYE sip:a SIP/2.0\r\n\r\nbody"
    message = SipMessage.parse(data)
    message.fit_content_length()
    assert bytes(message) == data


def test_offset_of_refuses_a_foreign_field() -> None:
    with pytest.raises(ValueError, match="not part"):
        SipMessage.parse(INVITE).offset_of(Field.make(b"Via", b"x"))


# -- streams ---------------------------------------------------------------------------------


@given(st.lists(ANY, max_size=4).map(b"".join))
def test_stream_pieces_joined_are_the_stream(data: bytes) -> None:
    pieces = list(split_stream(data))
    assert b"".join(piece for piece, _ in pieces) == data
    assert all(piece for piece, _ in pieces)
    assert all(complete for _, complete in pieces[:-1])


STREAM = [
    INVITE,
    b"\r\n\r\n",
    b"BYE sip:a SIP/2.0\r\nl: 0\r\n\r\n",
    b"ACK sip:a SIP/2.0\n\n",
    b"\r\n",
    INVITE,
]


def test_stream_is_cut_into_messages_and_keep_alives() -> None:
    assert list(split_stream(b"".join(STREAM))) == [(piece, True) for piece in STREAM]


@given(st.lists(st.integers(0, len(b"".join(STREAM))), max_size=12).map(sorted))
def test_any_segmentation_gives_the_same_messages(cuts: list[int]) -> None:
    stream = b"".join(STREAM)
    got: list[bytes] = []
    waiting = b""
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        waiting += stream[start:end]
        for piece, complete in split_stream(waiting):
            if complete:
                got.append(piece)
                waiting = waiting[len(piece) :]
    assert waiting == b""
    assert b"".join(got) == stream
    # A keep-alive may arrive in two halves; messages may not.
    assert [piece for piece in got if piece.strip()] == [piece for piece in STREAM if piece.strip()]


def test_a_message_without_its_body_is_incomplete() -> None:
    assert list(split_stream(INVITE[:-1])) == [(INVITE[:-1], False)]
    assert list(split_stream(INVITE[:40])) == [(INVITE[:40], False)]


@pytest.mark.parametrize(
    ("data", "separator", "body"),
    [
        (b"OPTIONS sip:a SIP/2.0\r\nTo: b\n\n\r\nrest", b"\n", b"\r\nrest"),
        (b"OPTIONS sip:a SIP/2.0\r\nTo: b\r\n\n\r\n", b"\n", b"\r\n"),
        (b"OPTIONS sip:a SIP/2.0\nTo: b\n\r\n\n", b"\r\n", b"\n"),
        (b"OPTIONS sip:a SIP/2.0\r\nTo: b\r\n\r\n\n\n", b"\r\n", b"\n\n"),
    ],
)
def test_the_first_empty_line_ends_the_head(data: bytes, separator: bytes, body: bytes) -> None:
    message = SipMessage.parse(data)
    assert (message.separator, message.body) == (separator, body)
    assert next(split_stream(data))[0] == data[: len(data) - len(body)]
