"""The kinds of servers that are cards: the YAML files beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from siplab.experiments.trial.kinds import Shelf

CARDS: Final = Shelf("server", Path(__file__).parent)
ITEMS: Final = tuple(CARDS.items())
