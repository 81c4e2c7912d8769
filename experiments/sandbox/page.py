"""The sandbox as one HTML file: Python, the project, the report page's views, and the form for a trial."""

from __future__ import annotations

import gzip
import json
from importlib import resources
from typing import Any, Final

from siplab.experiments.output.page import html
from siplab.experiments.output.page.render import SCRIPTS
from siplab.experiments.sandbox import licence
from siplab.experiments.sandbox.packing import packed
from siplab.experiments.sandbox.parts import Parts

# Worker and modules are Blobs made from this file, and Python is WebAssembly.
_ALLOWED: Final = " blob: 'wasm-unsafe-eval'; worker-src blob:; connect-src data:"
_OWN: Final = ("python", "exercise", "captures", "sandbox")


def page(parts: Parts) -> str:
    """The whole file."""
    pyodide = parts.pyodide
    worker = _own("worker.js").encode() + b"\n" + pyodide["pyodide.js"]
    book: dict[str, Any] = {
        "title": "siplab",
        "about": "",
        "entries": [],
        "left_out": [],
        "matrix": None,
        "before": None,
    }
    data = [
        html.block("book", {**book, "voices": []}),
        html.block("info", json.loads(pyodide["pyodide-lock.json"])["info"]),
        html.packed("worker", worker),
        html.packed("asm", pyodide["pyodide.asm.mjs"]),
        html.stored("wasm", gzip.compress(pyodide["pyodide.asm.wasm"], 9, mtime=0)),
        html.stored("standard", pyodide["python_stdlib.zip"]),
        html.stored("site", packed([*parts.wheels, *parts.captures])),
    ]
    if parts.captures:
        data.insert(0, licence.notice(parts.captures))
    scripts = [*(html.own(f"{each}.js") for each in SCRIPTS), *(_own(f"{each}.js") for each in _OWN)]
    style = html.own("page.css") + _own("sandbox.css")
    return html.filled(_own("sandbox.html"), "siplab sandbox", style, scripts, data, _ALLOWED)


def _own(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
