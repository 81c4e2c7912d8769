"""``python -m tools.vendor_table``: write the table of all vendors into docs/vendors.md.

``--check`` writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from experiments import vendor_cards

PAGE: Final = Path(__file__).parents[1] / "docs" / "vendors.md"
BEGIN: Final = "<!-- the table is made by: python -m tools.vendor_table -->\n"
END: Final = "<!-- end of the table -->\n"


def updated(page: str) -> str:
    """The page with today's table between its two marks."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{PAGE}: the marks around the table are missing")
    return f"{before}{BEGIN}\n{vendor_cards.markdown()}\n{END}{after}"


def main() -> int:
    """Entry point of the command."""
    old = PAGE.read_text(encoding="utf-8")
    new = updated(old)
    if "--check" in sys.argv[1:]:
        return int(new != old)
    PAGE.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
