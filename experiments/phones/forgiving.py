"""The plain phone, refusing no more of a message than baresip 1.0 was seen to refuse.

It takes what it can read, matches responses by branch and method alone, ignores a wrong Content-Length over
UDP, and takes a port above 65535 as it stands. What it does refuse it mostly drops without a word, so that
the other side sees a timeout and no 400 (``_refusals.yaml``, column ``baresip``). In all else it is
``plain``; ``libre`` is baresip in all that is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from siplab.experiments.phones.cards import CARDS
from siplab.experiments.trial.endpoints import PhoneKind
from siplab.experiments.trial.registry import Item

SETTINGS: Final = ("response_match", "branch_case", "on_syntax", "bad_port", "udp_length")


@dataclass(frozen=True)
class Forgiving(PhoneKind):
    """What the card ``libre`` says of reading messages."""

    def phone(self) -> Mapping[str, Any]:
        return CARDS.values("libre", SETTINGS)


ITEM = Item("forgiving", "Refuses only what baresip 1.0 was seen to refuse.", Forgiving())
