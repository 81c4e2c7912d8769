"""A router's firewall: its rules are tried in order, and the first that matches decides.

The rules of this file:

- A packet that no rule matches passes. An administrator who wants otherwise denies everything last.
- Ports are destination ports, as the inside sees them. Netfilter's FORWARD chain sees the same ones: it
  stands behind the translation of inbound packets, and before that of outbound packets.
- Answers belong to the session that they answer; they begin no new one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from siplab.lab.wire.ip import TCP, UDP

_PORTS: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_PROTOCOLS: Final = {"udp": UDP, "tcp": TCP}


@dataclass(frozen=True, slots=True)
class FirewallRule:
    """One rule.

    ``direction``: of the packet. ``ports``: ``5060`` or ``10000-20000``, of the destination; empty: all.
    ``state``: ``new``: only packets that belong to no session yet; ``any``: answers too.

    Raises ``ValueError`` for wrong ``ports``.
    """

    action: Literal["allow", "deny"]
    direction: Literal["out", "in"]
    protocol: Literal["udp", "tcp", "any"] = "any"
    ports: str = ""
    state: Literal["new", "any"] = "any"

    def __post_init__(self) -> None:
        found = _PORTS.fullmatch(self.ports)
        if self.ports and not (found and 1 <= int(found[1]) <= int(found[2] or found[1]) <= 65535):
            raise ValueError(f"'{self.ports[:20]}' is no port from 1 to 65535 and no range like 10000-20000")

    def __str__(self) -> str:
        words: list[str] = [self.action, self.direction, *([self.protocol] if self.protocol != "any" else [])]
        words += [self.ports] if self.ports else []
        return " ".join(words + (["new"] if self.state == "new" else []))

    def matches(self, protocol: int, port: int, *, outbound: bool, new: bool) -> bool:
        """Whether the rule matches such a packet."""
        if (self.direction == "out") is not outbound or (self.state == "new" and not new):
            return False
        if self.protocol != "any" and protocol != _PROTOCOLS[self.protocol]:
            return False
        first, _, last = self.ports.partition("-")
        return not first or int(first) <= port <= int(last or first)


def denied_by(
    rules: Sequence[FirewallRule], protocol: int, port: int, *, outbound: bool, new: bool
) -> FirewallRule | None:
    """The rule that denies such a packet; ``None``: the packet may pass."""
    for rule in rules:
        if rule.matches(protocol, port, outbound=outbound, new=new):
            return rule if rule.action == "deny" else None
    return None
