"""A server whose callees take descriptions at their word, as gateways to the telephone network do.

They send media to where the SDP says and take none from elsewhere, and a later offer must be of the same
session (o=, RFC 3264 section 8). Nothing in it makes up for a NAT: that is left to the ALG.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from siplab.experiments.trial.endpoints import ServerKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class StrictMedia(ServerKind):
    """No latching; media and later offers are checked."""

    far_kind: ClassVar[str] = "plain"

    def far_phone(self) -> Mapping[str, Any]:
        return {"latch_after": 0, "strict_media": True}


ITEM = Item("strict-media", "Media only from where they were announced; o= may not change.", StrictMedia())
