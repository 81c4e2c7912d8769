"""Makes one HTML file: a template with its style, scripts, packed data, and a policy against everything else.

The rules of this file:

- The page makes no requests. Its policy forbids them, and allows only its own scripts, by their digests.
- Data from trials is packed (gzip, Base64), so it is never parsed as HTML. The page's script inserts it only
  as text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Sequence
from importlib import resources


def block(name: str, data: object) -> str:
    """Plain data, packed, with an id by which the page's script finds it."""
    return packed(name, json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode())


def packed(name: str, data: bytes) -> str:
    """The same for bytes."""
    return stored(name, gzip.compress(data, mtime=0))


def stored(name: str, data: bytes) -> str:
    """The same for bytes that are packed already."""
    return f'<script type="text/plain" id="{name}">{base64.b64encode(data).decode()}</script>'


def own(name: str) -> str:
    """The content of a file of the report page."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def filled(
    template: str, title: str, style: str, scripts: Sequence[str], data: Sequence[str], allowed: str = ""
) -> str:
    """The whole file. ``allowed``: what the policy allows besides the page's scripts and style."""
    script = "(() => {\n'use strict';\n" + "\n".join(scripts) + "\n})();"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = f"default-src 'none'; script-src 'sha256-{digest}'{allowed}; style-src 'unsafe-inline'"
    values = {
        "title": html.escape(title),
        "policy": html.escape(f"{rules}; base-uri 'none'"),
        "style": style,
        "data": "\n".join(data),
        "script": script,
    }
    head, *parts = template.split("{{")
    return head + "".join(values[name] + rest for name, _, rest in (part.partition("}}") for part in parts))
