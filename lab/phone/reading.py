"""How a phone treats a message with a fault.

The rules of this file:

- There are three ways. The strict one answers 400 to every violation of a rule. pjsip drops a message with
  one header that it can't parse, and answers 400 for a faulty session description or a missing Contact. libre
  and belle-sip tolerate faults: they only need the parts that identify a message.
- Ports and lengths have settings of their own, which take precedence.
- What programs were seen to do is in ``experiments/phones/_refusals.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Final, Literal

from siplab.lab.wire import syntax
from siplab.lab.wire.sip import SipMessage
from siplab.lab.wire.syntax import RULES, Violation

OnSyntax = Literal["drop", "reject", "tolerate"]
BadPort = Literal["drop", "reject", "accept", "wrap"]

_PORTS: Final = frozenset({"via-port-out-of-range", "uri-port-out-of-range"})
_LENGTHS: Final = frozenset({"content-length-too-large", "content-length-too-small"})
_SDP: Final = frozenset(rule for rule in RULES if rule.startswith("sdp-"))
_ALL: Final = frozenset(rule for rule, each in RULES.items() if each.severity != "warning")
_MISSING: Final = frozenset(
    {"from-missing", "to-missing", "call-id-missing", "cseq-missing", "contact-missing"}
)
# The parts that libre and belle-sip need. libre accepts a request whose Via has lost a semicolon, but finds
# no transaction for such a response.
# no transaction for such a response.
_NEEDED: Final = _MISSING | {
    "start-line-malformed", "method-malformed", "sip-version-unsupported", "blank-line-missing",
    "header-colon-missing", "via-missing", "via-malformed", "via-protocol-malformed", "via-protocol-unknown",
    "cseq-malformed",
}  # fmt: skip
# For each way: the rules that count in requests, those that count in responses, and those of the first for
# which a request gets no answer.
_WAYS: Final[dict[OnSyntax, tuple[frozenset[str], frozenset[str], frozenset[str]]]] = {
    "reject": (_ALL, _ALL, frozenset()),
    "drop": (
        _ALL - {"sdp-address-malformed", "content-type-missing"},
        _ALL - _SDP - {"contact-missing", "content-type-missing"},
        _ALL - _SDP - {"contact-missing"},
    ),
    "tolerate": (_NEEDED, _NEEDED | {"via-missing-semicolon"}, _NEEDED - _MISSING),
}


def reader(
    on_syntax: OnSyntax, bad_port: BadPort, udp_length: str
) -> tuple[Callable[[SipMessage], Violation | None], Container[str]]:
    """The arguments ``fatal`` and ``silent`` of a phone's ``TransactionLayer``."""
    requests, responses, silent = _WAYS[on_syntax]
    if bad_port in ("accept", "wrap"):
        requests, responses = requests - _PORTS, responses - _PORTS
    else:
        requests, responses = requests | _PORTS, responses | _PORTS
        silent = silent | _PORTS if bad_port == "drop" else silent - _PORTS
    exact = udp_length == "reject"
    if exact:
        silent -= _LENGTHS
    if not exact and requests == responses == _ALL:
        return syntax.first_fatal, silent
    dialog_needs_tag = on_syntax == "tolerate"

    def fatal(message: SipMessage) -> Violation | None:
        if exact and message.content_length not in (None, len(message.body)):
            return _first_of(message, _LENGTHS)
        minded = responses if message.is_response else requests
        found = syntax.first(message, lambda each: each.rule in minded)
        if (
            found is None
            and dialog_needs_tag
            and 200 <= (message.status or 0) < 300
            and message.method == b"INVITE"
        ):
            return _first_of(message, frozenset({"to-tag-missing"}))
        return found

    return fatal, silent


def _first_of(message: SipMessage, rules: frozenset[str]) -> Violation | None:
    """The first violation of these rules, including warnings."""
    return next((each for each in syntax.check(message) if each.rule in rules), None)
