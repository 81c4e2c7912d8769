"""Selects the steps of a reference that write certain parts of a message, so that nothing else is done.

Names of parts are those of ``siplab.lab.wire.compare``; an empty name stands for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from siplab.alg_models.steps.headers import (
    EndBody,
    FitContentLength,
    TranslateIdentity,
    TranslateRequestUri,
    TranslateUris,
    TranslateVia,
)
from siplab.alg_models.steps.media import TranslateSdp
from siplab.lab.gateway.alg import Context, Step
from siplab.lab.wire.ip import Endpoint
from siplab.lab.wire.syntax import spelled

_WITH_PORTS: Final = frozenset({"body", "SDP m=", "SDP a="})
_ADDRESSES: Final = frozenset({"SDP c=", "SDP o="})


def is_description(part: str) -> bool:
    """Whether a part is in the SDP, or may be."""
    return part in ("", "body") or part.startswith("SDP ")


def writers(reference: Sequence[Step], parts: Sequence[str]) -> tuple[Step, ...]:
    """The steps that write these parts, and no others.

    Pinholes are opened only for media ports that are written, since only these must lead somewhere.
    """
    wanted = frozenset(parts)
    return tuple(writer for step in reference if (writer := _writer(step, wanted)) is not None)


def _writer(step: Step, wanted: frozenset[str]) -> Step | None:
    """The step, or as much of it as writes what is wanted; ``None`` if it writes nothing of that."""
    written: frozenset[str] = frozenset()
    match step:
        case EndBody() | FitContentLength():
            return step  # they open no pinholes
        case TranslateUris(headers=names):
            chosen = tuple(name for name in names if "" in wanted or spelled(name.encode()) in wanted)
            return TranslateUris(chosen) if chosen else None
        case TranslateSdp() if wanted & _ADDRESSES and not wanted & {"", *_WITH_PORTS}:
            return _AddressesAlone()
        case TranslateSdp():
            written = _WITH_PORTS
        case TranslateRequestUri():
            written = frozenset({"start line"})
        case TranslateVia():
            written = frozenset({"Via"})
        case TranslateIdentity():
            written = frozenset({"From", "To"})
        case _:
            return None  # it opens and closes pinholes
    return step if "" in wanted or wanted & written else None


@dataclass(frozen=True)
class _AddressesAlone(TranslateSdp):
    """Writes addresses without opening pinholes."""

    def open_media(self, endpoint: Endpoint, owner: object, context: Context) -> Endpoint | None:
        return Endpoint(context.nat.public_ip, endpoint.port)
