"""What of a message a server minds, and what it refuses without a word (RFC 3261 section 16.3).

The rules of this file:

- A proxy ignores what it does not need (16.3 (1)): no server reads the body of what it forwards.
- ``strict`` minds every fault of the grammar in the header fields. ``forgiving`` minds those that keep
  Kamailio 5.6 from reading a message at all, which it then drops (``_refusals.yaml`` beside the kinds).
- Ports that UDP does not have and a Content-Length that is wrong are settings of their own.
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
# Where a port that can't be is found at once, because the header is read for routing or for who it is.
_READ: Final = frozenset({"Request-URI", "From", "To"})
_DIGITS: Final = re.compile(rb"\d*")


def fatal_of(validation: Validation, bad_port: BadPort, udp_length: UdpLength) -> Fatal:
    """The violation for which a server with these settings takes a message no further, if it has one."""
    if (validation, bad_port, udp_length) == ("strict", "reject", "cut"):
        return lambda message: syntax.first(message, _strictly)

    def fatal(message: SipMessage) -> Violation | None:
        def minds(violation: Violation) -> bool:
            rule = violation.rule
            if rule in _PORTS:
                if bad_port == "drop":  # of a Contact only the header is lost
                    return violation.header != "Contact"
                if bad_port != "wrap":
                    return bad_port == "reject"
                if rule == "via-port-out-of-range":  # up to five digits are read as a number of 16 bits
                    found = _DIGITS.match(bytes(message), violation.offset)
                    return found is not None and len(found[0]) > 5
                return violation.header in _READ
            if rule in _LENGTHS:
                # Cut: what is there is enough, what is missing is not.
                cut = validation == "strict" and udp_length == "cut" and rule == "content-length-too-large"
                return udp_length == "reject" or cut
            if validation == "forgiving":
                return rule in _HARD
            return _strictly(violation)

        if udp_length == "reject" and message.value(b"content-length") != b"%d" % len(message.body):
            # The quick way does not notice bytes beyond the body.
            return next((each for each in syntax.check(message) if minds(each)), None)
        return syntax.first(message, minds)

    return fatal


def unreadable_contact(message: SipMessage) -> Violation | None:
    """What keeps a forgiving registrar from reading a Contact, after it has asked for a password.

    Kamailio 5.6.3 answers such a REGISTER 400, while a parameter without its semicolon passes.
    """
    return syntax.first(
        message, lambda each: each.rule == "address-parameter-malformed" and each.header == "Contact"
    )


def _strictly(violation: Violation) -> bool:
    return syntax.is_fatal(violation) and violation.rule not in _BODY


def silent_of(validation: Validation, bad_port: BadPort) -> frozenset[str]:
    """The rules for which a request is not even answered 400."""
    silent = _HARD if validation == "forgiving" else frozenset[str]()
    if bad_port == "wrap":
        silent |= {"via-port-out-of-range"}
    return silent | _PORTS if bad_port == "drop" else silent
