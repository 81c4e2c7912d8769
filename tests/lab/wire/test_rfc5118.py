"""RFC 5118's torture messages for IPv6: each can be read, and breaks the rules that the RFC says.

Content-Length is the length of the body here; in the RFC's text it is wrong in two messages.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from siplab.lab.wire import syntax
from siplab.lab.wire.sip import SipMessage

DATA = Path(__file__).parents[2] / "data" / "rfc5118"
MESSAGES = {path.stem: path.read_bytes() for path in sorted(DATA.glob("*.dat"))}
# Message -> every rule that it breaks.
EXPECTED = {
    "ipv6-good": set(),  # 4.1
    "ipv6-bad": {"ipv6-brackets-missing"},  # 4.2: to be answered with 400
    "port-ambiguous": set(),  # 4.3: all of it is the address
    "port-unambiguous": set(),  # 4.4
    "via-received-param-with-delim": {"via-received-brackets"},  # 4.5: to be accepted
    "via-received-param-no-delim": set(),  # 4.5
    "ipv6-in-sdp": set(),  # 4.6
    "mult-ip-in-header": set(),  # 4.7
    "mult-ip-in-sdp": {"sdp-session-name-empty"},  # 4.8
    "ipv4-mapped-ipv6": set(),  # 4.9
    "ipv6-bug-abnf-3-colons": {"ipv6-three-colons"},  # 4.10: to be tolerated
    "ipv6-correct-abnf-2-colons": set(),  # 4.10
}


def test_every_message_is_there() -> None:
    assert MESSAGES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_verdict(name: str) -> None:
    message = SipMessage.parse(MESSAGES[name])
    assert bytes(message) == MESSAGES[name]
    found = {each.rule for each in syntax.check(message)}
    assert found == EXPECTED[name]
    fatal = syntax.first_fatal(message)
    assert (fatal is not None) == (name == "ipv6-bad")
