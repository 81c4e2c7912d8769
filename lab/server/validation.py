"""Which faults of a message a server objects to, and when it gives no answer (RFC 3261 section 16.3).

The rules of this file:

- A proxy ignores what it does not need (16.3 (1)): no server reads the body of a message that it forwards.
- ``strict`` objects to every violation of the grammar in the header fields. ``forgiving`` objects only to
  those that keep Kamailio 5.6 from reading a message at all; it drops such messages (``_refusals.yaml``
  beside the kinds).
- Impossible ports and a wrong Content-Length have settings of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from siplab.lab.wire import syntax
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import RULES, Violation

BadPort = Literal["drop", "reject", "accept", "wrap"]
UdpLength = Literal["ignore", "stream", "reject", "cut"]
Validation = Literal["strict", "forgiving"]

Fatal = Callable[[SipMessage], Violation | None]

_PORTS: Final = frozenset({"via-port-out-of-range", "uri-port-out-of-range"})
_LENGTHS: Final = frozenset({"content-length-too-large", "content-length-too-small"})
_HARD: Final = frozenset(
    {
        "start-line-malformed", "method-malformed", "sip-version-unsupported", "blank-line-missing",
        "header-colon-missing", "via-missing", "via-malformed", "via-protocol-malformed",
        "via-protocol-unknown", "via-missing-semicolon", "from-missing", "to-missing", "call-id-missing",
        "cseq-missing", "cseq-malformed",
    }
)  # fmt: skip
_BODY: Final = frozenset(rule for rule in RULES if rule.startswith(("sdp-", "content-type-")))
# In these headers an impossible port is found at once, because they are read for routing or identity.
_READ: Final = frozenset({"Request-URI", "From", "To"})
_DIGITS: Final = re.compile(rb"\d*")


def fatal_of(validation: Validation, bad_port: BadPort, udp_length: UdpLength) -> Fatal:
    """A function that returns the violation for which a server with these settings refuses a message."""
    if (validation, bad_port, udp_length) == ("strict", "reject", "cut"):
        return lambda message: syntax.first(message, _strictly)

    def fatal(message: SipMessage) -> Violation | None:
        def minds(violation: Violation) -> bool:
            rule = violation.rule
            if rule in _PORTS:
                if bad_port == "drop":  # an unreadable Contact costs only that header
                    return violation.header != "Contact"
                if bad_port != "wrap":
                    return bad_port == "reject"
                if rule == "via-port-out-of-range":  # up to five digits are read as a number of 16 bits
                    found = _DIGITS.match(bytes(message), violation.offset)
                    return found is not None and len(found[0]) > 5
                return violation.header in _READ
            if rule in _LENGTHS:
                # Cut: bytes beyond the length are ignored, missing bytes are an error.
                cut = validation == "strict" and udp_length == "cut" and rule == "content-length-too-large"
                return udp_length == "reject" or cut
            if validation == "forgiving":
                return rule in _HARD
            return _strictly(violation)

        if udp_length == "reject" and message.value(b"content-length") != b"%d" % len(message.body):
            # The quick way does not notice bytes after the body.
            return next((each for each in syntax.check(message) if minds(each)), None)
        return syntax.first(message, minds)

    return fatal


def unreadable_contact(message: SipMessage) -> Violation | None:
    """The fault that keeps a forgiving registrar from reading a Contact; it asks for a password first.

    Kamailio 5.6.3 answers such a REGISTER 400, while it accepts a parameter without its semicolon.
    """
    return syntax.first(
        message, lambda each: each.rule == "address-parameter-malformed" and each.header == "Contact"
    )


def _strictly(violation: Violation) -> bool:
    return syntax.is_fatal(violation) and violation.rule not in _BODY


def silent_of(validation: Validation, bad_port: BadPort) -> frozenset[str]:
    """The rules whose violation leaves a request without an answer."""
    silent = _HARD if validation == "forgiving" else frozenset[str]()
    if bad_port == "wrap":
        silent |= {"via-port-out-of-range"}
    return silent | _PORTS if bad_port == "drop" else silent
