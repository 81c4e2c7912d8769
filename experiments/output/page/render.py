"""From documents to one HTML file.

The rules of this file:

- The page asks for nothing: its policy forbids every request, and allows no script but its own, by its
  digest.
- What comes from trials goes in packed (gzip, Base64), so nothing of it is ever read as HTML. The page's
  script makes text of it, and text only.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from typing import Any, Final

from siplab.experiments.output.compatibility import Compatibility
from siplab.experiments.output.view import TrialDocument, Voice

LIMIT: Final = 25_000_000  # bytes of a page with many trials
_SCRIPTS: Final = ("dom", "state", "ladder", "message", "sound", "network", "outcome", "matrix", "main")


@dataclass(frozen=True)
class Entry:
    """One trial in the index of a page. ``failed``: what failed first; ``why`` there is no document."""

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

    ``matrix``: a table that stands in the place of the index, with what it was ``before``. Documents are
    called ``trial-1`` and so on, in the order of ``entries``.
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
            block = _block(f"trial-{number}", asdict(replace(each.document, voices=())))
            if size + len(block) <= LIMIT:
                size += len(block)
                blocks.append(block)
                row["doc"] = f"trial-{number}"
                voices |= {voice.name: voice for voice in each.document.voices}
            else:
                dropped += 1
                row["why"] = "left out: the page is full"
        rows.append(row)
    if dropped:
        left_out = [*left_out, f"{dropped} trials are left out: a page holds {LIMIT // 1_000_000} MB."]
    book = {
        "title": title,
        "about": about,
        "entries": rows,
        "left_out": list(left_out),
        "matrix": matrix and asdict(matrix),
        "before": before and asdict(before),
        "voices": [asdict(each) for each in voices.values()],
    }
    script = "(() => {\n'use strict';\n" + "\n".join(_read(f"{each}.js") for each in _SCRIPTS) + "\n})();"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; base-uri 'none'"
    values = {
        "title": html.escape(title),
        "policy": html.escape(policy),
        "style": _read("page.css"),
        "data": "\n".join([_block("book", book), *blocks]),
        "script": script,
    }
    head, *parts = _read("page.html").split("{{")
    return head + "".join(values[name] + rest for name, _, rest in (part.partition("}}") for part in parts))


def _block(name: str, data: object) -> str:
    packed = gzip.compress(json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(), mtime=0)
    return f'<script type="text/plain" id="{name}">{base64.b64encode(packed).decode()}</script>'


def _read(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
