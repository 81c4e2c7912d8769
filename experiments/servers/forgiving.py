"""The lab's default server, refusing no more of a message than Kamailio 5.6 was seen to refuse.

It minds what keeps it from reading a message at all, and drops that without a word, so that the phone sees a
timeout and no 400; it stores a Contact that leads nowhere, and answers calls to it 479; it registers whoever
names another domain in the Request-URI (``_refusals.yaml``, column ``kamailio``). In all else it is
``rport-aware``; ``proxy-detect`` is Kamailio in all that is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from siplab.experiments.servers.cards import CARDS
from siplab.experiments.trial.endpoints import ServerKind
from siplab.experiments.trial.registry import Item

SETTINGS: Final = ("validation", "bad_port", "udp_length", "foreign_request_uri")


@dataclass(frozen=True)
class Forgiving(ServerKind):
    """What the card ``proxy-detect`` says of reading messages."""

    def server(self) -> Mapping[str, Any]:
        return CARDS.values("proxy-detect", SETTINGS)


ITEM = Item("forgiving", "Refuses only what Kamailio 5.6 was seen to refuse.", Forgiving())
