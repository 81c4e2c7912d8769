"""Drafts a vendor's card from a learnt model. It says what the captures show, and nothing else.

The rules of this file:

- Every claim has evidence ``capture``, and a source that says date, firmware and the files' digests.
- The card names a model only if no other model does all that was seen as well. Models that can't be told
  apart are named in a note.
- Captures don't say whether the ALG can be switched off, nor how it is set in a new router. Both are unknown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from siplab.alg_models.vendors.schema import UNKNOWN, VendorProfile
from siplab.experiments.learning.learning import Learnt
from siplab.experiments.learning.search import Found
from siplab.lab.gateway.alg import Evidence

_SHOWN = 12


@dataclass(frozen=True)
class Subject:
    """What was captured: the router's ``name`` and ``firmware`` (empty: not known), the day, the files."""

    name: str
    firmware: str
    day: date
    files: tuple[Path, ...]

    @property
    def source(self) -> str:
        """The source of a claim. Raises ``OSError`` if a file can't be read."""
        digests = ", ".join(
            f"{each.name} sha256:{hashlib.sha256(each.read_bytes()).hexdigest()}" for each in self.files
        )
        return f"captures of {self.day.isoformat()}, firmware {self.firmware or 'not known'}: {digests}"


def draft(learnt: Learnt, subject: Subject, said: Sequence[str]) -> str:
    """The card as YAML. ``said``: what the captures show, in sentences."""
    source = {"source": subject.source, "evidence": Evidence.CAPTURE.value}
    found = learnt.found
    known = not found.distance and len(found.tie) == 1
    model = found.model.id if known and not learnt.is_clean else UNKNOWN
    claims = list(dict.fromkeys(each.strip() for each in said if each.strip()))
    if model != UNKNOWN:
        claims.append(f"Every packet of the captures left it as it leaves the model {model}.")
    data: dict[str, Any] = {
        "id": re.sub(r"[^a-z0-9]+", "-", subject.name.lower()).strip("-") or "router",
        "name": subject.name,
        "devices": [f"{subject.name}, firmware {subject.firmware or 'not known'}"],
        "as_of": subject.day.isoformat(),
        "model": model,
        "claims": [{"text": each, **source} for each in claims],
        "default": {"state": UNKNOWN},
        "switch_off": {"possible": UNKNOWN},
        "nat": [{"text": each, **source} for each in _nat(learnt)],
        "notes": [{"kind": "sourced", "text": each, **source} for each in _shown(learnt)]
        + [{"kind": "gap", "text": each} for each in _gaps(learnt)],
    }
    VendorProfile.model_validate(data)
    head = "# A draft, written from captures. `siplab schema vendor` says what may stand here.\n"
    return head + yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def _nat(learnt: Learnt) -> list[str]:
    nat = learnt.observed.nat
    return [
        f"Mapping is {nat.mapping.value}, filtering {nat.filtering.value} (RFC 4787), as far as was seen."
    ]


def _shown(learnt: Learnt) -> list[str]:
    """What the captures show of the learnt model."""
    found, agreed = learnt.found, learnt.agreement
    notes = [f"Of {agreed.total} SIP messages, {agreed.equal} left as the learnt model has it."]
    if found.distance:
        notes.append(f"No model of the catalogue does all of it; nearest: {_names(found)}.")
    elif learnt.is_clean:
        notes.append(f"No message was changed beyond what the model {_names(found)} does: no fault showed.")
    return notes


def _gaps(learnt: Learnt) -> list[str]:
    """What the captures leave open."""
    found = learnt.found
    notes = []
    if not found.distance and len(found.tie) > 1:
        notes.append(f"The captures can't tell these models apart: {_names(found)}.")
    if found.distance and found.ended:
        notes.append("The search ended at its budget: a nearer model may have been missed.")
    if found.unshown:
        notes.append(f"Faults that would not have shown: {', '.join(found.unshown[:_SHOWN])}.")
    return notes


def _names(found: Found) -> str:
    return ", ".join(each.id for each in found.tie[:_SHOWN])
