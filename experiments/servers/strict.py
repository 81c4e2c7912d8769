"""A server whose digest check is strict (RFC 7616 section 3.4.6).

The uri that was signed must equal the Request-URI: a router that rewrites one and not the other locks the
phone out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from siplab.experiments.trial.endpoints import ServerKind
from siplab.experiments.trial.registry import Item


@dataclass(frozen=True)
class Strict(ServerKind):
    """A mismatch is answered 400."""

    far_kind: ClassVar[str] = "plain"

    def server(self) -> Mapping[str, Any]:
        return {"strict_digest_uri": True}


ITEM = Item("strict", "The signed uri must equal the Request-URI.", Strict())
