"""The folder of one program in one trial: its configuration from templates, and what it writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from siplab.experiments.programs.kinds import Chosen
from siplab.lab import documents
from siplab.lab.errors import UsageError

_PLACE: Final = re.compile(r"@([A-Z][A-Z0-9_]*)@")


def rendered(text: str, values: Mapping[str, str], where: str) -> str:
    """A template with the names between ``@`` filled in. Raises ``UsageError`` for an unknown name."""

    def value_of(found: re.Match[str]) -> str:
        name = found[1].lower()
        if name not in values:
            known = ", ".join(each.upper() for each in sorted(values))
            raise UsageError(f"{where}: unknown placeholder '{found[0]}'; known are {known}")
        return values[name]

    return _PLACE.sub(value_of, text)


def fill(folder: Path, chosen: Chosen, values: Mapping[str, str]) -> None:
    """Write the program's files. Raises ``UsageError`` for a template that can't be filled in."""
    folder.mkdir(parents=True, exist_ok=True)
    for target, template in chosen.kind.files.items():
        source = chosen.place / template
        text = documents.text(source)
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rendered(text, values, str(source)), encoding="utf-8")
