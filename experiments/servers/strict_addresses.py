"""A server that follows RFC 3261 to the letter, and nothing newer.

It answers to the address that a request came from but the port in its Via (section 18.2.2), calls the Contact
as it is registered, and its phones send media to where the SDP says. From behind NAT this works only with
an ALG, or with STUN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from siplab.experiments.trial.endpoints import ServerKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class StrictAddresses(ServerKind):
    """No RFC 3581, no far-end NAT traversal, no latching."""

    far_kind: ClassVar[str] = "plain"

    def server(self) -> Mapping[str, Any]:
        return {"rport": "never", "store": "contact", "alias": "never"}

    def far_phone(self) -> Mapping[str, Any]:
        return {"latch_after": 0}


ITEM = Item(
    "strict-addresses", "RFC 3261 to the letter: Via, Contact and SDP are believed.", StrictAddresses()
)
