"""Pages of docs/ with a part that a command makes: between two marks, written by ``python -m tools.NAME``.

With ``--check`` the command writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class MadePart:
    """The part of ``page`` between the marks ``begin`` and ``end``, which ``make`` makes."""

    page: Path
    begin: str
    end: str
    make: Callable[[], str]

    def updated(self, text: str) -> str:
        """The page's text with today's part. Raises ``SystemExit`` when the marks are missing."""
        before, _, rest = text.partition(self.begin)
        _, end, after = rest.partition(self.end)
        if not end:
            raise SystemExit(f"{self.page}: the marks around the table are missing")
        return f"{before}{self.begin}\n{self.make()}\n{self.end}{after}"

    def main(self) -> int:
        """Entry point of the command."""
        old = self.page.read_text(encoding="utf-8")
        new = self.updated(old)
        if "--check" in sys.argv[1:]:
            return int(new != old)
        self.page.write_text(new, encoding="utf-8")
        return 0
