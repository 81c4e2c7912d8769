"""The rules that ``siplab.lab.wire.syntax`` knows, as one table.

The rules of this file:

- ``fatal`` means that a strict endpoint answers 400 or discards the message. ``unusable``: it does so
  although the grammar allows the text (a port of any number of digits): nothing can be sent there.
  ``warning``: the text breaks the grammar or a MUST, but the same RFC, or the advice of RFC 4475,
  tells a strict endpoint to accept it.
- ``reference`` names the section that states the rule, not one that merely mentions it.
- An id never changes: baselines and reports quote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Severity = Literal["fatal", "unusable", "warning"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of SIP or SDP: what it asks, where that is written, and what breaking it costs."""

    id: str
    reference: str
    severity: Severity
    description: str


_TABLE: Final[tuple[tuple[str, str, Severity, str], ...]] = (
    # -- start line and framing
    ("start-line-malformed", "RFC 3261 25.1", "fatal",
     "The start line is `Method SP URI SP SIP-Version` or `SIP-Version SP Status-Code SP Reason-Phrase`."),
    ("method-malformed", "RFC 3261 25.1", "fatal", "A method is a token."),
    ("request-uri-malformed", "RFC 3261 7.1", "fatal",
     "A Request-URI has no white space, no control characters and no `<>` around it."),
    ("sip-version-unsupported", "RFC 3261 7.1", "fatal", "The SIP-Version is `SIP/2.0`."),
    ("sip-version-lower-case", "RFC 3261 7.1", "warning", "The SIP-Version is sent in upper case."),
    ("status-code-out-of-range", "RFC 3261 7.2", "fatal", "A status code has three digits, 100 to 699."),
    ("bare-lf", "RFC 3261 7", "warning", "Start line, header fields and the empty line end in CRLF."),
    ("blank-line-missing", "RFC 3261 7", "fatal",
     "An empty line ends the header fields, with or without a body."),
    # -- any header field
    ("header-colon-missing", "RFC 3261 7.3.1", "fatal", "A header field is `field-name: field-value`."),
    ("header-name-malformed", "RFC 3261 25.1", "fatal", "A header name is a token."),
    ("header-control-character", "RFC 3261 25.1", "fatal",
     "A header value has no control characters, unless escaped in a quoted string."),
    ("header-not-utf8", "RFC 3261 7", "warning", "SIP's header fields are text in UTF-8."),
    ("header-repeated", "RFC 3261 7.3.1", "fatal",
     "A header field that is no comma-separated list appears once."),
    ("via-missing", "RFC 3261 8.1.1, 8.2.6.2", "fatal", "Every message has a Via."),
    ("from-missing", "RFC 3261 8.1.1, 8.2.6.2", "fatal", "Every message has a From."),
    ("to-missing", "RFC 3261 8.1.1, 8.2.6.2", "fatal", "Every message has a To."),
    ("call-id-missing", "RFC 3261 8.1.1, 8.2.6.2", "fatal", "Every message has a Call-ID."),
    ("cseq-missing", "RFC 3261 8.1.1, 8.2.6.2", "fatal", "Every message has a CSeq."),
    # 16.3: a proxy passes a request without one; RFC 2543 did not ask for it.
    ("max-forwards-missing", "RFC 3261 8.1.1", "warning", "A request has Max-Forwards."),
    # -- Via
    ("via-malformed", "RFC 3261 25.1", "fatal",
     "A Via value is `sent-protocol LWS sent-by *( SEMI via-params )`."),
    ("via-protocol-malformed", "RFC 3261 25.1", "fatal",
     "The sent-protocol has three parts: name, version and transport."),
    ("via-protocol-unknown", "RFC 3261 8.1.1.7", "fatal",
     "The protocol in a Via is `SIP` and its version `2.0`."),
    ("via-missing-semicolon", "RFC 3261 25.1", "fatal",
     "A `;` separates the sent-by from its first parameter."),
    # The grammar asks for digits only, but a port of UDP or TCP has 16 bits.
    ("via-port-out-of-range", "RFC 3261 18.2.2, RFC 768", "unusable",
     "A sent-by port is a number from 1 to 65535."),
    ("via-parameter-malformed", "RFC 3261 25.1", "fatal", "A Via parameter is `name` or `name=value`."),
    # 17.2.3 says how to match requests of RFC 2543 clients, which have no branch, or one without the cookie.
    ("via-branch-missing", "RFC 3261 8.1.1.7", "warning", "A Via has a branch parameter."),
    ("via-branch-cookie", "RFC 3261 8.1.1.7", "warning", "A branch begins with `z9hG4bK`."),
    ("via-branch-empty", "RFC 3261 8.1.1.7", "warning",
     "A branch has something behind `z9hG4bK` that makes it unique."),
    ("via-rport-malformed", "RFC 3581 5", "fatal", "`rport` has no value, or a port number."),
    ("via-received-malformed", "RFC 3261 25.1", "fatal", "`received` is an IP address."),
    # The grammar has no brackets here; 4.5 of RFC 5118 has receivers take both.
    ("via-received-brackets", "RFC 3261 25.1, RFC 5118 4.5", "warning",
     "An IPv6 address in `received` has no brackets."),
    # -- the other headers that every message has
    ("call-id-empty", "RFC 3261 25.1", "fatal", "A Call-ID is not empty."),
    ("call-id-malformed", "RFC 3261 25.1", "fatal",
     "A Call-ID is `word` or `word@word`, without white space."),
    ("cseq-malformed", "RFC 3261 25.1", "fatal", "A CSeq is a number and a method."),
    ("cseq-out-of-range", "RFC 3261 8.1.1.5", "fatal", "A CSeq number is less than 2**31."),
    ("cseq-method-mismatch", "RFC 3261 8.1.1.5", "fatal", "The method in CSeq is that of the request."),
    ("max-forwards-malformed", "RFC 3261 20.22", "fatal", "Max-Forwards is a number from 0 to 255."),
    ("expires-malformed", "RFC 3261 20.19", "fatal", "Expires is a number of seconds."),
    # RFC 4475 3.1.2.4: an overlarge value may be taken for the default.
    ("expires-out-of-range", "RFC 3261 20.19", "warning", "Expires is at most 2**32-1."),
    # -- From, To, Contact, Route and their like
    ("address-malformed", "RFC 3261 25.1", "fatal", "The value is a name-addr or an addr-spec."),
    ("address-quote-unclosed", "RFC 3261 25.1", "fatal", "A quoted string has two quotes."),
    ("address-angle-unbalanced", "RFC 3261 25.1", "fatal", "`<` and `>` come in pairs around the URI."),
    ("address-angle-missing", "RFC 3261 20", "fatal",
     "A URI with a comma, a question mark or a semicolon stands in `<>`."),
    ("address-display-name", "RFC 3261 25.1, RFC 4475 3.1.2.15", "fatal",
     "A display name is tokens or a quoted string."),
    ("address-missing-semicolon", "RFC 3261 25.1", "fatal",
     "A `;` separates the address from its first parameter."),
    ("address-parameter-malformed", "RFC 3261 25.1", "fatal",
     "A header parameter is `name` or `name=value`."),
    # 12.1.1: a UAS must be prepared for a From without a tag; 12.1.2: a UAC for a To without one.
    ("from-tag-missing", "RFC 3261 8.1.1.3", "warning", "A From has a tag."),
    ("to-tag-missing", "RFC 3261 8.2.6.2", "warning", "The To of a response other than 100 has a tag."),
    ("contact-missing", "RFC 3261 8.1.1.8, 12.1.1", "fatal",
     "An INVITE and its 2xx response have a Contact."),
    ("contact-star-misused", "RFC 3261 10.3", "fatal",
     "`Contact: *` stands alone, in a REGISTER whose Expires is 0."),
    # 10.2.1.1: a registrar treats a malformed value as 3600.
    ("contact-expires-malformed", "RFC 3261 10.2", "warning",
     "The expires parameter of a Contact is a number of seconds."),
    ("route-not-name-addr", "RFC 3261 25.1", "fatal", "A Route or Record-Route value has its URI in `<>`."),
    ("record-route-lr-missing", "RFC 3261 16.6", "warning",
     "The URI of a Record-Route has the lr parameter."),
    # -- URIs and hosts
    ("uri-malformed", "RFC 3261 25.1", "fatal",
     "A URI has a scheme, and only the characters that its grammar allows."),
    ("uri-missing-semicolon", "RFC 3261 25.1", "fatal",
     "A `;` separates host and port from the first URI parameter."),
    ("uri-port-out-of-range", "RFC 3261 19.1.1, RFC 768", "unusable",
     "The port of a URI is a number from 1 to 65535."),
    ("uri-port-not-allowed", "RFC 3261 19.1.2", "warning", "The URI of a From or To has no port (Table 1)."),
    ("uri-headers-not-allowed", "RFC 3261 19.1.2", "warning",
     "A Request-URI, From or To has no headers in its URI (Table 1)."),
    ("host-malformed", "RFC 3261 25.1", "fatal",
     "A host is a domain name, an IPv4 address or an IPv6 reference."),
    ("host-underscore", "RFC 3261 25.1", "warning", "A domain name has no underscore."),
    ("ipv4-octet-out-of-range", "RFC 5954 4.1", "fatal", "A part of an IPv4 address is at most 255."),
    ("ipv6-brackets-missing", "RFC 3261 25.1, RFC 5118 4.2", "fatal",
     "An IPv6 address in a host stands in `[]`."),
    ("ipv6-reference-unclosed", "RFC 3261 25.1", "fatal", "The `[` of an IPv6 reference has its `]`."),
    ("ipv6-address-invalid", "RFC 5954 4.1", "fatal", "What stands in `[]` is an IPv6 address."),
    # RFC 3261's own grammar produces them, so receivers must tolerate them.
    ("ipv6-three-colons", "RFC 5954 4.1, RFC 5118 4.10", "warning",
     "Two colons stand for the zeros before an IPv4 address, not three."),
    # -- body
    ("content-length-malformed", "RFC 3261 25.1", "fatal", "Content-Length is a number."),
    ("content-length-missing", "RFC 3261 18.3", "fatal", "Over a stream, a message has Content-Length."),
    ("content-length-too-large", "RFC 3261 18.3", "fatal",
     "The body is not shorter than Content-Length says."),
    # The receiver drops the rest, which is allowed; but the number is not "the size of the message-body".
    ("content-length-too-small", "RFC 3261 20.14", "warning", "Content-Length is the size of the body."),
    # Over UDP a second empty line would be a body; a stream may have empty lines between messages.
    ("empty-line-repeated", "RFC 3261 7.5", "warning", "One empty line ends the header fields."),
    ("content-type-missing", "RFC 3261 20.15", "fatal", "A message with a body has Content-Type."),
    ("content-type-malformed", "RFC 3261 25.1", "fatal", "Content-Type is `type/subtype` and parameters."),
    # -- SDP
    ("sdp-line-malformed", "RFC 8866 5", "fatal", "A line of SDP is `<type>=<value>`, the type one letter."),
    ("sdp-type-unknown", "RFC 8866 5", "fatal", "The type letter of a line is one that SDP defines."),
    ("sdp-control-character", "RFC 8866 9", "fatal", "A value has no NUL and no lone CR."),
    ("sdp-empty-line", "RFC 8866 9", "warning", "There are no empty lines."),
    ("sdp-bare-lf", "RFC 8866 5", "warning", "A line of SDP ends in CRLF."),
    ("sdp-line-unterminated", "RFC 8866 9", "warning", "The last line ends in CRLF too."),
    ("sdp-line-missing", "RFC 8866 5", "fatal", "The session part has v=, o= and s=."),
    ("sdp-line-repeated", "RFC 8866 5", "fatal", "A line that may stand once in its part stands once."),
    ("sdp-head-order", "RFC 8866 5", "fatal", "v=, o= and s= come first, in that order."),
    # Endpoints look lines up by letter, so the call still works.
    ("sdp-line-order", "RFC 8866 5", "warning", "The lines of a part follow the order of RFC 8866."),
    ("sdp-version", "RFC 8866 5.1", "fatal", "The version is 0."),
    ("sdp-origin-malformed", "RFC 8866 5.2", "fatal", "o= has six fields, the second and third numbers."),
    # SIPp's own scenarios write them.
    ("sdp-origin-brackets", "RFC 8866 9", "warning", "An IPv6 address in o= has no brackets."),
    ("sdp-origin-out-of-range", "RFC 3264 5", "warning",
     "Session id and version of o= fit in 64 bits, signed."),
    ("sdp-session-name-empty", "RFC 8866 5.3", "warning", "s= is not empty."),
    ("sdp-time-missing", "RFC 8866 5.9", "warning", "The session part has t=."),
    ("sdp-connection-malformed", "RFC 8866 5.7", "fatal", "c= has three fields."),
    ("sdp-connection-missing", "RFC 8866 5.7", "fatal", "Each media has a c=, or the session part has one."),
    ("sdp-address-type-mismatch", "RFC 8866 5.7", "fatal",
     "IP4 is followed by an IPv4 address, IP6 by an IPv6 one."),
    ("sdp-address-malformed", "RFC 8866 9", "fatal", "An address is an IP address or a domain name."),
    ("sdp-media-malformed", "RFC 8866 5.14", "fatal",
     "m= has media, port, protocol and at least one format."),
    ("sdp-media-port-out-of-range", "RFC 8866 5.14, RFC 768", "unusable",
     "The port of m= is a number from 0 to 65535."),
    ("sdp-rtcp-malformed", "RFC 3605 2.1", "fatal", "a=rtcp is a port, with or without an address."),
    # ICE leaves out the candidates that it cannot use; the call goes on with the others.
    ("sdp-candidate-malformed", "RFC 8839 5.1", "warning",
     "a=candidate has its eight fields, with a sound address and port."),
)  # fmt: skip

RULES: Final[Mapping[str, Rule]] = MappingProxyType({row[0]: Rule(*row) for row in _TABLE})
"""Every rule, by id."""
