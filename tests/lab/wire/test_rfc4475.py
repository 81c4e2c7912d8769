"""RFC 4475's torture messages: all can be read; those that the RFC accepts have no fatal violation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from siplab.lab.wire import syntax
from siplab.lab.wire.sip import SipMessage, split_stream

DATA = Path(__file__).parents[2] / "data" / "rfc4475"
MESSAGES = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.dat"))}


class Expected(NamedTuple):
    """What the RFC says about a message, and the fatal rule we report; ``why`` explains a difference."""

    section: str
    rfc: Literal["valid", "invalid", "RFC 2543"]
    fatal: str | None = None
    why: str = ""


EXPECTED = {
    # Valid messages.
    "wsinv": Expected("3.1.1.1", "valid"),
    "intmeth": Expected("3.1.1.2", "valid"),
    "esc01": Expected("3.1.1.3", "valid"),
    "escnull": Expected("3.1.1.4", "valid"),
    "esc02": Expected("3.1.1.5", "valid"),
    "lwsdisp": Expected("3.1.1.6", "valid"),
    "longreq": Expected("3.1.1.7", "valid"),
    "dblreq": Expected("3.1.1.8", "valid"),
    "semiuri": Expected("3.1.1.9", "valid"),
    "transports": Expected("3.1.1.10", "valid"),
    "mpart01": Expected("3.1.1.11", "valid"),
    "unreason": Expected("3.1.1.12", "valid"),
    "noreason": Expected("3.1.1.13", "valid"),
    # Invalid messages.
    "badinv01": Expected("3.1.2.1", "invalid", "via-parameter-malformed"),
    "clerr": Expected("3.1.2.2", "invalid", "content-length-too-large"),
    "ncl": Expected("3.1.2.3", "invalid", "content-length-malformed"),
    "scalar02": Expected("3.1.2.4", "invalid", "cseq-out-of-range"),
    "scalarlg": Expected("3.1.2.5", "invalid", "cseq-out-of-range"),
    "quotbal": Expected("3.1.2.6", "invalid", "address-quote-unclosed"),
    "ltgtruri": Expected("3.1.2.7", "invalid", "request-uri-malformed"),
    "lwsruri": Expected("3.1.2.8", "invalid", "request-uri-malformed"),
    "lwsstart": Expected("3.1.2.9", "invalid", "start-line-malformed"),
    "trws": Expected("3.1.2.10", "invalid", "start-line-malformed"),
    "escruri": Expected(
        "3.1.2.11",
        "invalid",
        None,
        "a warning: the grammar allows headers in a URI; Table 1 in 19.1.2 forbids them here",
    ),
    "baddate": Expected("3.1.2.12", "invalid", None, "no rule judges Date, which no call depends on"),
    "regbadct": Expected("3.1.2.13", "invalid", "address-angle-missing"),
    "badaspec": Expected("3.1.2.14", "invalid", "uri-malformed"),
    "baddn": Expected("3.1.2.15", "invalid", "address-display-name"),
    "badvers": Expected("3.1.2.16", "invalid", "sip-version-unsupported"),
    "mismatch01": Expected("3.1.2.17", "invalid", "cseq-method-mismatch"),
    "mismatch02": Expected("3.1.2.18", "invalid", "cseq-method-mismatch"),
    "bigcode": Expected("3.1.2.19", "invalid", "status-code-out-of-range"),
    # Transaction layer.
    "badbranch": Expected("3.2.1", "invalid", None, "a warning: the branch is a token that names nothing"),
    # Application layer: a request may be refused, but its text is valid unless noted.
    "insuf": Expected("3.3.1", "invalid", "from-missing"),
    "unkscm": Expected("3.3.2", "valid"),
    "novelsc": Expected("3.3.3", "valid"),
    "unksm2": Expected("3.3.4", "valid"),
    "bext01": Expected("3.3.5", "valid"),
    "invut": Expected("3.3.6", "valid"),
    "regaut01": Expected("3.3.7", "valid"),
    "multi01": Expected("3.3.8", "invalid", "header-repeated"),
    "mcl01": Expected("3.3.9", "invalid", "header-repeated"),
    "bcast": Expected("3.3.10", "valid"),
    "zeromf": Expected("3.3.11", "valid"),
    "cparam01": Expected("3.3.12", "valid"),
    "cparam02": Expected("3.3.13", "valid"),
    "regescrt": Expected("3.3.14", "valid"),
    "sdp01": Expected("3.3.15", "valid"),
    # Backward compatibility.
    "inv2543": Expected(
        "3.4.1", "RFC 2543", "contact-missing", "RFC 3261 has no dialog without it; the RFC leaves the choice"
    ),
}
NAMES = pytest.mark.parametrize("name", EXPECTED)
# Over TCP, these end at another place than in a datagram, or their end is unclear.
UNFRAMED = {"clerr", "ncl", "mcl01", "inv2543", "dblreq"}


def test_every_message_is_there() -> None:
    assert MESSAGES.keys() == EXPECTED.keys()
    assert len(MESSAGES) == 49


@NAMES
def test_the_bytes_are_the_rfcs(name: str) -> None:
    """No tool translated line ends, and Content-Length is right where the RFC does not make it wrong."""
    head, blank, body = MESSAGES[name].partition(b"\r\n\r\n")
    assert bool(blank) == (name != "baddn")  # in the RFC's archive, this one ends after its last header field
    assert b"\n" not in head.replace(b"\r\n", b"")
    found = re.search(rb"\r\n(?:Content-Length|l) *: ?(-?\d+)", head, re.IGNORECASE)
    says = None if found is None else int(found[1])
    assert (says == len(body)) == (name not in UNFRAMED)


@NAMES
def test_nothing_is_lost_in_reading(name: str) -> None:
    message = SipMessage.parse(MESSAGES[name])
    assert bytes(message) == MESSAGES[name]
    assert bytes(message.start_line) + b"".join(field.raw for field in message.fields) in MESSAGES[name]
    assert message.is_sip
    assert message.is_request != message.is_response
    assert (message.status is None) == (message.is_request or name == "bigcode")


@NAMES
def test_nothing_is_lost_in_a_stream(name: str) -> None:
    pieces = list(split_stream(MESSAGES[name]))
    assert b"".join(piece for piece, _ in pieces) == MESSAGES[name]
    if name == "baddn":
        assert pieces == [(MESSAGES[name], False)]
    elif name not in UNFRAMED:
        assert pieces[0] == (MESSAGES[name], True)


@NAMES
@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "ws"])
def test_first_fatal_is_the_first_fatal_of_check(name: str, transport: str) -> None:
    message = SipMessage.parse(MESSAGES[name])
    violations = syntax.check(message, transport=transport)
    assert all(0 <= each.offset <= len(MESSAGES[name]) for each in violations)
    fatal = [each for each in violations if each.severity != "warning"]
    assert syntax.first_fatal(message, transport=transport) == (fatal[0] if fatal else None)


@NAMES
def test_the_verdict(name: str) -> None:
    expected = EXPECTED[name]
    found = syntax.first_fatal(SipMessage.parse(MESSAGES[name]))
    assert (found and found.rule) == expected.fatal
    if expected.rfc == "valid":
        assert expected.fatal is None
    else:
        assert expected.fatal in syntax.RULES or expected.why, "an invalid message passes without a reason"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("wsinv", "via-branch-cookie"),
        ("longreq", "via-branch-missing"),
        ("dblreq", "content-length-too-small"),
        ("escruri", "uri-headers-not-allowed"),
        ("baddn", "blank-line-missing"),
        ("badbranch", "via-branch-empty"),
        ("scalar02", "max-forwards-malformed"),
        ("scalar02", "expires-out-of-range"),
        ("scalar02", "contact-expires-malformed"),
        ("badvers", "via-protocol-unknown"),
        ("badinv01", "address-parameter-malformed"),
        ("insuf", "to-missing"),
        ("insuf", "call-id-missing"),
        ("inv2543", "max-forwards-missing"),
        ("inv2543", "from-tag-missing"),
        ("mismatch02", "sdp-line-missing"),
    ],
)
def test_what_else_the_rfc_points_out_is_found(name: str, rule: str) -> None:
    assert rule in {each.rule for each in syntax.check(SipMessage.parse(MESSAGES[name]))}


def test_a_stream_of_two_requests_is_two_messages() -> None:
    """3.1.1.8: over TCP, bytes after the message are the next message; in a datagram they are ignored."""
    messages = [SipMessage.parse(piece) for piece, complete in split_stream(MESSAGES["dblreq"]) if complete]
    assert [each.method for each in messages if each.is_request] == [b"REGISTER", b"INVITE"]


def test_header_values_of_the_tortuous_invite() -> None:
    """3.1.1.1: folds, blanks and compact forms are spelling only."""
    message = SipMessage.parse(MESSAGES["wsinv"])
    assert message.method == b"INVITE"
    assert message.value(b"subject") == b""
    assert message.value(b"content-length") == b"150"
    assert message.value(b"cseq").split() == [b"0009", b"INVITE"]
    assert len(message.all(b"via")) == 2
    assert message.value(b"to").startswith(b"sip:vivekg@chair-dnrc.example.com")
