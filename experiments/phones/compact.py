"""A phone that writes the compact forms of header names (RFC 3261 section 7.3.3).

Perfectly legal, and overlooked by ALGs that search for the long names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Compact(PhoneKind):
    """``v:`` for Via, ``m:`` for Contact."""

    def phone(self) -> Mapping[str, Any]:
        return {"compact": True}


ITEM = Item("compact", "Writes compact header names.", Compact())
