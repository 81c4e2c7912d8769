"""A phone or small PBX of the 2000s that knows nothing of NAT: what ALGs were made for.

No rport, no keep-alive, and media sent from another port than they are received at: the NAT's
binding for what it sends is then not the one that its SDP would need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Legacy(PhoneKind):
    """Before RFC 3581 and RFC 4961."""

    def phone(self) -> Mapping[str, Any]:
        return {"rport": False, "latch_after": 0, "keepalive": "", "rtp_source_offset": 500}


ITEM = Item("legacy", "No rport, asymmetric RTP, no keep-alive.", Legacy())
