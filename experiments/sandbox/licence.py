"""The licence notice of the build that reads captures. It includes scapy, so it has scapy's licence."""

from __future__ import annotations

import html
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from siplab.experiments.sandbox.parts import lock

SPDX_ID: Final = "GPL-2.0-only"

_NOTICE: Final = """<footer id="licence" aria-label="Licence">
<p>SPDX-License-Identifier: {id}</p>
<p>This file as a whole is under the GNU General Public License, version 2 only, because scapy, which reads
captures, is part of it; siplab&#8217;s own files stay under the MIT licence. The Python sources of both are
in it; those of the interpreter are Pyodide {pyodide}, github.com/pyodide/pyodide.</p>
<details><summary>The text of the licence</summary>
<pre>{text}</pre>
</details>
</footer>"""


def notice(wheels: Iterable[Path]) -> str:
    """The notice as HTML, with the text of the licence as it comes in ``wheels``."""
    text = "\n".join(each for wheel in wheels for each in _texts(wheel))
    pyodide = html.escape(lock()["pyodide"]["version"])
    return _NOTICE.format(id=SPDX_ID, pyodide=pyodide, text=html.escape(text))


def _texts(wheel: Path) -> Iterable[str]:
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if ".dist-info/licenses/" in name and not name.endswith("/"):
                yield archive.read(name).decode("utf-8")
