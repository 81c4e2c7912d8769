"""A phone that sends SIP from a high port and listens at 5060, as Cisco phones do.

Its Via says 5060 and has no rport, so answers are wanted at a port that no packet came from: a NAT
has no binding for it. Linux's SIP helper has a rule for just these phones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class HighPort(PhoneKind):
    """``port``: where SIP is sent from. What arrives there is not read."""

    port: Annotated[int, Ge(1024), Le(65535)] = 49300

    def phone(self) -> Mapping[str, Any]:
        return {"source_port": self.port, "rport": False}


ITEM = Item("high-port", "Sends SIP from a high port, listens at 5060.", HighPort())
