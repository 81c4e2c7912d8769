"""A phone with one quirk that is legal and unusual: what breaks with it and with no other make of phone.

ALGs are tried with the phones that their makers have. A header name in capitals, a folded line or a Contact
without a port is something that they may never have seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item
from siplab.lab.phone.quirks import Quirk

# Habits that are settings of the phone, not ways of writing.
_SETTINGS: Final[dict[str, Mapping[str, Any]]] = {
    "no-contact-port": {"contact_port": False},
    "other-via-port": {"announced_port": 5999},
    "odd-media-port": {"rtp_port": 49171},
    "video-on-hold": {"quirks": ("video-on-hold",), "streams": ("audio", "video")},
}


@dataclass(frozen=True)
class Quirky(PhoneKind):
    """``quirk``: which one. ``strict``: it also misses its Contact in the answer to a REGISTER."""

    quirk: Quirk | Literal["no-contact-port", "other-via-port", "odd-media-port"] = "capitals"
    strict: bool = False

    def phone(self) -> Mapping[str, Any]:
        settings = _SETTINGS.get(self.quirk, {"quirks": (self.quirk,)})
        return {**settings, "contact_policy": "unregister" if self.strict else "fallback"}


ITEM = Item("quirky", "Has one quirk that is legal and unusual.", Quirky())
