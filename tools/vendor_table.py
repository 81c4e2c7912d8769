"""``python -m tools.vendor_table``: write the table of all vendors into docs/vendors.md.

``--check`` writes nothing and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import sys
from typing import Final

from siplab.experiments.output import vendor_cards
from tools.pages import DOCS, MadePart

PAGE: Final = DOCS / "vendors.md"


PART: Final = MadePart(PAGE, "vendor_table", vendor_cards.markdown)
updated = PART.updated


if __name__ == "__main__":
    sys.exit(PART.main())
