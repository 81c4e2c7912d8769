"""A phone as sold today for hosted services: rport, keep-alive, symmetric RTP.

It keeps its binding alive (CRLF over UDP, as many phones send it; or OPTIONS), and sends media back to
where they come from (RFC 4961, RFC 7362).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from annotated_types import Gt

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Modern(PhoneKind):
    """``interval``: seconds between keep-alives."""

    keepalive: Literal["crlf-crlf", "crlf", "options"] = "crlf-crlf"
    interval: Annotated[float, Gt(0)] = 25.0

    def phone(self) -> Mapping[str, Any]:
        return {
            "rport": True,
            "latch_after": 1,
            "keepalive": self.keepalive,
            "keepalive_interval": self.interval,
        }


ITEM = Item("modern", "rport, keep-alive and symmetric RTP.", Modern())
