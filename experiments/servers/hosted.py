"""A hosted provider that solves NAT at its own end (RFC 7362).

It answers to where a request came from, asked or not, as Kamailio's ``force_rport`` does. It relays all
media, latching to where those of phones behind NAT come from, and sends OPTIONS to registered phones. With
``ping=natted`` only to those whose REGISTER shows that they are behind NAT (Via or Contact is not where it
came from), as nathelper's ``ping_nated_only`` has it: an ALG that hides the NAT well switches the keep-alive
off, and incoming calls fail once the binding has ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Gt

from siplab.experiments.trial.endpoints import ServerKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Hosted(ServerKind):
    """``ping``: which phones are kept alive, every ``interval`` seconds."""

    far_kind: ClassVar[str] = "plain"

    ping: Literal["natted", "all", ""] = "natted"
    interval: Annotated[float, Gt(0)] = 25.0

    def server(self) -> Mapping[str, Any]:
        return {
            "rport": "always",
            "relay_when": "always",
            "ping": self.ping,
            "ping_interval": self.interval,
        }


ITEM = Item("hosted", "Far-end NAT traversal: media relay, and keep-alive where a NAT is seen.", Hosted())
