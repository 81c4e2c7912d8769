"""Makes one HTML file of documents: an index, and a page for each trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from siplab.experiments.output import compatibility
from siplab.experiments.output.compatibility import Compatibility
from siplab.experiments.output.page.html import block, filled, own
from siplab.experiments.output.view import TrialDocument, Voice
from siplab.lab.counting import number_of

LIMIT: Final = 25_000_000  # bytes of a page with several trials
# Each script comes after those that it uses.
SCRIPTS: Final = ("dom", "state", "ladder", "message", "sound", "network", "outcome", "matrix", "main")


@dataclass(frozen=True)
class Entry:
    """One trial in the index of a page. ``failed``: what failed first; ``why``: why it has no document."""

    title: str
    outcome: str
    failed: str
    document: TrialDocument | None
    why: str = ""


def page(
    title: str,
    about: str,
    entries: Sequence[Entry],
    left_out: Sequence[str] = (),
    *,
    matrix: Compatibility | None = None,
    before: Compatibility | None = None,
) -> str:
    """The whole file. Documents that do not fit are left out, and the page says so.

    ``matrix``: a table in place of the index; ``before``: an earlier one to compare with. The documents'
    names are ``trial-1`` and so on, in the order of ``entries``.
    """
    voices: dict[str, Voice] = {}
    rows: list[dict[str, Any]] = []
    blocks: list[str] = []
    size, dropped = 0, 0
    for number, each in enumerate(entries, 1):
        row = {
            "title": each.title,
            "outcome": each.outcome,
            "failed": each.failed,
            "why": each.why,
            "doc": "",
        }
        if each.document is not None:
            part = block(f"trial-{number}", asdict(replace(each.document, voices=())))
            if size + len(part) <= LIMIT:
                size += len(part)
                blocks.append(part)
                row["doc"] = f"trial-{number}"
                voices |= {voice.name: voice for voice in each.document.voices}
            else:
                dropped += 1
                row["why"] = "left out: the page is full"
        rows.append(row)
    if dropped:
        left_out = [
            *left_out,
            f"{number_of(dropped, 'trial')} left out: a page holds {LIMIT // 1_000_000} MB.",
        ]
    book = {
        "title": title,
        "about": about,
        "entries": rows,
        "left_out": list(left_out),
        "matrix": matrix and compatibility.as_json(matrix),
        "before": before and asdict(before),
        "voices": [asdict(each) for each in voices.values()],
    }
    scripts = [own(f"{each}.js") for each in SCRIPTS]
    return filled(own("page.html"), title, own("page.css"), scripts, [block("book", book), *blocks])
