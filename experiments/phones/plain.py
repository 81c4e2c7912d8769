"""The phone of the strict pair of endpoints, as the RFCs have it.

It asks for ``rport`` (RFC 3581), sends SIP and media from the ports that it receives at (RFC 4961), and
knows nothing else of NAT: no keep-alive, its own address in Via, Contact and SDP. It takes a response only
with its own Via, Call-ID, From tag and CSeq, which no stack does that was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Plain(PhoneKind):
    """The settings of ``PhoneConfig`` as they are."""

    def phone(self) -> Mapping[str, Any]:
        return {}


ITEM = Item("plain", "rport, one port for both directions, no keep-alive.", Plain())
