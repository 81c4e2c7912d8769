"""``python -m tools.distinguish``: write into docs/distinguish.md which models the probe pack confuses.

``--check`` writes nothing and exits with 1 if the page is out of date. It takes a minute or two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Final

from siplab.alg_models import catalogue, samples
from siplab.experiments.probe_pack import script as packs
from siplab.experiments.probe_pack import ties
from siplab.lab.gateway.alg import Model
from siplab.lab.worlds.open_loop import Script
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "distinguish.md"
DAY: Final = 86400.0
PACKS: Final = (
    ("the probe pack", packs.MINUTES),
    ("with `--long`", packs.HOUR),
    ("and a call of 13 hours", DAY),
)


def groups(script: Script, models: Iterable[Model]) -> list[tuple[str, ...]]:
    """Groups of models for which a script gives the same result, behind a NAT with RFC 4787's timers."""
    found = ties.classes(script, models, samples.gateway_for)
    return [tuple(each.id for each in group) for group in found]


def table(models: Sequence[Model]) -> str:
    """A row for each length of the pack."""
    lines = [
        "| what is played | packets | takes | told apart | not told apart |",
        "|---|---|---|---|---|",
    ]
    for name, longest in PACKS:
        script = packs.script(longest)
        found = groups(script, models)
        alike = "; ".join(", ".join(f"`{each}`" for each in group) for group in found if len(group) > 1)
        takes = f"{script.seconds:.0f} s" if script.seconds < packs.HOUR else f"{script.seconds / 3600:.0f} h"
        row = (name, str(len(script.steps())), takes, f"{len(found)} of {len(models)}", alike or "nothing")
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


PART: Final = MadePart(PAGE, "distinguish", lambda: table(catalogue.load(plugins=False).runnable()))
updated = PART.updated


if __name__ == "__main__":
    sys.exit(PART.main())
