"""``python -m tools.kind_tables``: write cards and settings of phones and servers into docs/endpoints.md.

``--check`` writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from typing import Any, Final, Literal, get_args, get_origin

from siplab.experiments.output import kind_cards
from siplab.experiments.trial import kind_settings
from siplab.experiments.trial.kind_settings import SETTINGS
from siplab.lab import specs
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "endpoints.md"


def cards() -> str:
    """The table of the kinds with cards."""
    lines = []
    for kind in SETTINGS:
        lines += ["", f"| {kind} | what it is | card | settings with evidence |", "|---|---|---|---|"]
        for row in kind_cards.rows(kind):
            if row["card"]:
                lines.append(f"| `{row['id']}` | {row['summary']} | {row['card']} | {row['evidenced']} |")
    return "\n".join([*lines[1:], ""])


def settings() -> str:
    """The table of the settings on cards."""
    lines = []
    for kind, each in SETTINGS.items():
        lines += ["", f"| setting of a {kind} | what it means | values | default |", "|---|---|---|---|"]
        plain = kind_settings.defaults(kind)
        for name, field in each.__pydantic_fields__.items():  # type: ignore[union-attr]
            meaning = " ".join((field.description or "").split()).rstrip(".")
            values = ", ".join(dict.fromkeys(_values(field.annotation)))
            default = specs.value_text(plain[name]) or "none"
            lines.append(f"| `{name}` | {meaning} | {values} | `{default}` |")
    return "\n".join([*lines[1:], ""])


def _values(hint: Any) -> list[str]:
    """The allowed values of a setting, in words."""
    if get_origin(hint) is Literal:
        return [f"`{specs.value_text(value)}`" if value != "" else "none" for value in get_args(hint)]
    if get_origin(hint) is not None:
        inner = [each for part in get_args(hint) if part is not ... for each in _values(part)]
        if get_origin(hint) is tuple and "number" not in inner:
            return [f"[{', '.join(inner)}]"]
        return inner
    names = {int: "number", float: "number", bool: "`true`, `false`"}
    return [names[hint]] if hint in names else []


PARTS: Final = tuple(MadePart(PAGE, "kind_tables", make, make.__name__) for make in (cards, settings))


if __name__ == "__main__":
    sys.exit(max(part.main() for part in PARTS))
