"""How a server finds out that a phone is behind NAT: tests like nathelper's.

The rules of this file:

- One positive test is enough. No test sees a NAT whose router has put its own address in everywhere.
- A host name, or a port that UDP does not have, counts as different from the message's source.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from siplab.lab.sip.messages import DEFAULT_PORT, Incoming, address_text, uri_of
from siplab.lab.wire.ip import is_private

NatTest = Literal[
    "contact-private",
    "register-contact-private",
    "contact-host",
    "contact-port",
    "via-private",
    "via-host",
    "via-port",
    "invite-via-private",
]
"""A private address in Contact or Via, or a host or port there that is not the source's.

``register-contact-private`` and ``invite-via-private``: only in a REGISTER or an INVITE. nathelper's test 19
is ``contact-private``, ``via-host`` and ``via-port`` together.
"""


def nat_seen(request: Incoming, contact: bytes, tests: Collection[NatTest]) -> bool:
    """Whether one of the ``tests`` shows that the sender of a request with that Contact URI is behind NAT."""
    source = request.source
    via, uri = request.via, uri_of(contact)
    via_ip = address_text(via.sent_by.host) if via is not None else None
    via_port = via.sent_by.port if via is not None else 0
    contact_ip = address_text(uri.host) if uri is not None else None
    contact_port = uri.port if uri is not None else 0
    for test in tests:
        method, _, _ = test.partition("-")
        if method in ("register", "invite") and request.method != method.upper().encode():
            continue
        ip, port = (contact_ip, contact_port) if "contact" in test else (via_ip, via_port)
        if test.endswith("-private"):
            found = ip is not None and is_private(ip)
        elif test.endswith("-host"):
            found = ip != source.ip
        else:
            found = (DEFAULT_PORT if port is None else port) != source.port
        if found:
            return True
    return False
