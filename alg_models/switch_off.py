"""How to switch ALGs off, where no card says so: the file ``switch_off.yaml``, and how to search it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from siplab.alg_models.vendors.schema import Identifier, Procedure, Sourced, Text, search_key
from siplab.lab import documents

FILE: Final = Path(__file__).with_name("switch_off.yaml")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Workaround(Sourced):
    """What is advised if an ALG stays on, and what the lab found when it tried that."""

    name: Identifier
    for_: Annotated[Text, Field(alias="for")]
    steps: Annotated[tuple[Text, ...], Field(min_length=1)]
    found: Text
    tried: Text
    """The command that shows it."""


class Brand(_Strict):
    """A brand without a card: only its switch is known."""

    name: Text
    aliases: Annotated[tuple[Text, ...], Field(min_length=1)]
    procedures: Annotated[tuple[Procedure, ...], Field(min_length=1)]


class SwitchOffs(_Strict):
    """The file ``switch_off.yaml``. ``reach``: how to get to a router's settings at all."""

    reach: tuple[Procedure, ...]
    workarounds: tuple[Workaround, ...]
    brands: tuple[Brand, ...]

    def brand(self, name: str) -> Brand | None:
        """The brand that a user means by this name, or ``None``. The longest alias that fits decides."""
        wanted = search_key(name)
        found = [
            (len(key), each)
            for each in self.brands
            for key in map(search_key, (each.name, *each.aliases))
            if key == wanted or (len(key) > 2 and key in wanted)
        ]
        return max(found, key=lambda pair: pair[0])[1] if found else None


@cache
def load() -> SwitchOffs:
    """The contents of the file. Raises ``UsageError`` if it is not valid."""
    return documents.read(FILE, SwitchOffs)
