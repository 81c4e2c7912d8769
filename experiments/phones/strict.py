"""A phone that takes nothing for granted.

The answer to its REGISTER must list its own Contact (RFC 3261 section 10.2.4), or it does not count as
registered; a request must name its host and port too, not only its user.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Strict(PhoneKind):
    """Compares what it gets with what it sent."""

    def phone(self) -> Mapping[str, Any]:
        return {"contact_policy": "unregister", "request_uri_check": "host-port"}


ITEM = Item("strict", "Compares Contact and Request-URI with its own.", Strict())
