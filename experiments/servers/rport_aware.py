"""The server of the strict pair of endpoints, as the RFCs have it.

It answers to where a request came from when its Via has ``rport`` (RFC 3581), remembers where a REGISTER
came from and sends requests there, and notes the same in Contacts that pass (``;alias=``). Media
are not its affair; the phones on the internet send theirs back to where the others come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from siplab.experiments.trial.endpoints import ServerKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class RportAware(ServerKind):
    """The settings of ``ServerConfig`` as they are."""

    far_kind: ClassVar[str] = "plain"

    def server(self) -> Mapping[str, Any]:
        return {}


ITEM = Item("rport-aware", "Answers to the source, remembers it for registered phones.", RportAware())
