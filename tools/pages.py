"""Pages of docs/ with a generated table. ``python -m tools.NAME`` writes it between two marks.

With ``--check`` the command writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[1] / "docs"


@dataclass(frozen=True)
class MadePart:
    """The table in ``page`` that ``python -m tools.TOOL`` makes. ``what``: its name in the marks."""

    page: Path
    tool: str
    make: Callable[[], str]
    what: str = "table"

    def updated(self, text: str) -> str:
        """The page's text with a new table. Raises ``SystemExit`` if the marks are missing."""
        begin = rf"<!-- the {self.what} (?:is|are) made by: python -m tools\.{self.tool}\b[^\n]*-->\n"
        found = re.fullmatch(rf"(.*{begin}).*?(\n<!-- end of the {self.what} -->\n.*)", text, re.DOTALL)
        if found is None:
            raise SystemExit(f"{self.page}: the marks around the table are missing")
        return f"{found[1]}\n{self.make()}{found[2]}"

    def main(self) -> int:
        """Entry point of the command."""
        old = self.page.read_text(encoding="utf-8")
        new = self.updated(old)
        if "--check" in sys.argv[1:]:
            return int(new != old)
        self.page.write_text(new, encoding="utf-8")
        return 0
