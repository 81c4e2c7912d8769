"""``python -m tools.site``: build docs/ as a site in out/site (``make docs``); it also opens from disk.

The pages are those of docs/, with README.md first. The reference is made from docstrings; the
sandbox and a report each have their own page. A broken link or a missing picture is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from siplab.experiments.output import book
from siplab.experiments.sandbox import parts
from siplab.experiments.sandbox.page import page
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError

ROOT: Final = Path(__file__).parents[1]
SURFACE: Final = ("siplab", "siplab.model", "siplab.detector", "siplab.scenario", "siplab.pytest_plugin")
_AT_THE_TOP: Final = ("CHANGELOG.md", "CITATION.cff")
_QUIET: Final = {"NO_MKDOCS_2_WARNING": "1"}
_REPORT: Final = TrialSpec("home", "sdp-c-only", "outgoing-call", server="hosted(latch=untrusted)")
# The site's search uses a worker, and browsers start no worker from disk. mkdocs.yml names the file.
_WORKERS: Final = {
    "name": "iframe-worker",
    "version": "1.0.4",
    "file": "iframe-worker-1.0.4.tgz",
    "integrity": "sha512-roeaaI+Lg1LJNfgpCjoRe/+WzEjy9+Z08LoEvu85MCPbBjwm+qXz8Ag5U05lHa6V"
    "1CysZyGzE0SOkAtSUA5q7Q==",
}
_TRY: Final = """# Try it

Both are single files that ask for nothing from any network: save them, and open them wherever you like.

## The laboratory

[Open it alone](files/sandbox.html), which is better on a small screen. It takes some seconds
to start.

<iframe src="files/sandbox.html" title="The laboratory" loading="lazy" width="100%" height="800">
</iframe>

## A report

One call, and the same without ALG: [open it alone](files/report.html).

<iframe src="files/report.html" title="The report" loading="lazy" width="100%" height="800">
</iframe>
"""


def sources(folder: Path) -> None:
    """Write the sources of the site. Raises ``UsageError`` if the sandbox can't be built."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    for name in _AT_THE_TOP:
        (folder / name).write_text(_moved((ROOT / name).read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "index.md").write_text(
        _moved((ROOT / "README.md").read_text(encoding="utf-8")), encoding="utf-8"
    )
    (folder / "reference").mkdir()
    for module in SURFACE:
        text = f"# {module}\n\n::: {module}\n"
        (folder / "reference" / f"{module.rpartition('.')[2]}.md").write_text(text, encoding="utf-8")
    (folder / "files").mkdir()
    with tarfile.open(parts.npm_package(_WORKERS)) as archive:
        shim = archive.extractfile("package/shim/index.js")
        assert shim is not None
        (folder / "files" / "iframe-worker.js").write_bytes(shim.read())
    (folder / "try.md").write_text(_TRY, encoding="utf-8")
    (folder / "files" / "sandbox.html").write_text(page(parts.fetch()), encoding="utf-8")
    (folder / "files" / "report.html").write_text(book.of_one(*trial.run(_REPORT)), encoding="utf-8")


def _moved(text: str) -> str:
    """Text of a page at the top of the repository, with its links as they must be in docs/."""
    return re.sub(r"\]\(docs/", "](", text)


def build(folder: Path) -> int:
    """Build the site in ``folder``/site; returns the exit status of mkdocs. Raises ``UsageError``."""
    require()
    sources(folder / "site-source")
    return render(folder).returncode


def require() -> None:
    """Raises ``UsageError`` if MkDocs is missing."""
    if find_spec("mkdocs") is None or find_spec("mkdocstrings") is None:
        raise UsageError("the site needs MkDocs: pip install -e '.[docs]'")


def render(folder: Path, *, capture: bool = False) -> subprocess.CompletedProcess[str]:
    """Build the site from the sources in ``folder``/site-source. ``capture``: keep mkdocs's output."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
    return subprocess.run(
        [*command, "--config-file", str(_config(folder))],
        cwd=ROOT,
        env={**os.environ, **_QUIET},
        capture_output=capture,
        text=True,
        check=False,
    )


def _config(folder: Path) -> Path:
    """A copy of mkdocs.yml with the sources in ``folder``."""
    folder = folder.absolute()
    path = folder / "mkdocs.yml"
    inherited = f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {folder / 'site-source'}\n"
    path.write_text(inherited, encoding="utf-8")
    return path


def main() -> int:
    """Entry point of the command."""
    folder = ROOT / "out"
    folder.mkdir(exist_ok=True)
    try:
        status = build(folder)
    except UsageError as error:
        print(f"site: {error}", file=sys.stderr)
        return 2
    if status == 0:
        print(f"site: open {folder / 'site' / 'index.html'}")
    return status


if __name__ == "__main__":
    sys.exit(main())
