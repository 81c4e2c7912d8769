"""Pages of the documentation with a part that a tool writes, between two marks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

END: Final = "<!-- end of the table -->\n"


def begin(tool: str) -> str:
    """The mark above what ``python -m tools.TOOL --write`` writes."""
    return f"<!-- the table is made by: python -m tools.{tool} --write -->\n"


def updated(page: str, tool: str, text: str) -> str:
    """The page with ``text`` between its two marks. Raises ``SystemExit`` when they are missing."""
    before, _, rest = page.partition(begin(tool))
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"tools.{tool}: the marks around the table are missing in its page")
    return f"{before}{begin(tool)}\n{text}\n{END}{after}"


def main(path: Path, tool: str, text: Callable[[], str]) -> int:
    """``--write`` writes into the page, ``--check`` exits with 1 if it is out of date, else it is printed."""
    if not {"--write", "--check"} & set(sys.argv[1:]):
        print(text(), end="")
        return 0
    old = path.read_text(encoding="utf-8")
    new = updated(old, tool, text())
    if "--check" in sys.argv[1:]:
        return int(new != old)
    path.write_text(new, encoding="utf-8")
    return 0
