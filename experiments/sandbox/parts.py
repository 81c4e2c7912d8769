"""What the sandbox needs besides the project: Pyodide and wheels, as pinned in ``lock.json``.

npm and pip fetch them once into a cache. A cached file is used only if it has the digest in the lock.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from siplab.lab.errors import CapabilityError
from siplab.lab.foreign import one_line

_LIMIT: Final = 600.0  # seconds for one download
_PYODIDE: Final = (
    "pyodide.js",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)


@dataclass(frozen=True)
class Parts:
    """The files of Pyodide by their names, and the wheels.

    ``captures``: the wheels that only the build which reads captures has.
    """

    pyodide: dict[str, bytes]
    wheels: tuple[Path, ...]
    captures: tuple[Path, ...] = ()


@cache
def lock() -> dict[str, Any]:
    """What is pinned: ``pyodide`` (version, file, integrity), ``python``, ``platforms``, ``wheels``.

    ``captures``: further wheels that reading captures needs.
    """
    text = resources.files(__package__).joinpath("lock.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def cache_folder() -> Path:
    """The folder for downloads: ``$XDG_CACHE_HOME/siplab/sandbox``, else below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "siplab" / "sandbox"


def fetch(folder: Path | None = None, *, captures: bool = False) -> Parts:
    """The parts. Those that are not in ``folder`` (default: the cache) are downloaded.

    ``captures``: also those that reading captures needs. Raises ``CapabilityError`` if npm, pip or the
    network is missing.
    """
    folder = cache_folder() if folder is None else folder
    pyodide = npm_package(lock()["pyodide"], folder)
    wheels = _wheels(lock()["wheels"], folder)
    more = _wheels(lock()["captures"], folder) if captures else ()
    with tarfile.open(pyodide) as archive:
        files = {name: archive.extractfile(f"package/{name}") for name in _PYODIDE}
        return Parts({name: file.read() for name, file in files.items() if file}, wheels, more)


def npm_package(pin: Mapping[str, str], folder: Path | None = None) -> Path:
    """A package from npm as an archive; ``pin`` has its name, version, file and integrity.

    Raises ``CapabilityError`` as ``fetch`` does.
    """
    folder = cache_folder() if folder is None else folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CapabilityError(f"{folder}: {error.strerror}; XDG_CACHE_HOME names another place") from None
    path = folder / pin["file"]
    if not _is_pinned_package(path, pin):
        _npm(pin, folder)
    _check(path, pinned=_is_pinned_package(path, pin))
    return path


def _wheels(pins: Sequence[Mapping[str, str]], folder: Path) -> tuple[Path, ...]:
    if not all(_is_pinned_wheel(folder / each["file"], each) for each in pins):
        _pip(pins, folder)
    paths = tuple(folder / each["file"] for each in pins)
    for path, pin in zip(paths, pins, strict=True):
        _check(path, pinned=_is_pinned_wheel(path, pin))
    return paths


def _check(path: Path, *, pinned: bool) -> None:
    if not pinned:
        raise CapabilityError(f"{path}: not the file that is pinned; delete it and try again")


def _is_pinned_package(path: Path, pin: Mapping[str, str]) -> bool:
    if not path.is_file():
        return False
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return f"sha512-{digest}" == pin["integrity"]


def _is_pinned_wheel(path: Path, pin: Mapping[str, str]) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == pin["sha256"]


def _npm(pin: Mapping[str, str], folder: Path) -> None:
    npm = shutil.which("npm")
    what = f"{pin['name']}@{pin['version']}"
    if npm is None:
        raise CapabilityError(f"npm is needed, which fetches {what} (apt-get install npm)")
    command = [npm, "pack", "--silent", "--pack-destination", str(folder), what]
    _download(command, folder, f"{what} from npm")


def _pip(pins: Sequence[Mapping[str, str]], folder: Path) -> None:
    found = lock()
    python = found["python"]
    wanted = folder / "requirements.txt"
    lines = [f"{each['name']}=={each['version']} --hash=sha256:{each['sha256']}\n" for each in pins]
    wanted.write_text("".join(lines), encoding="utf-8")
    options = ["--no-deps", "--only-binary", ":all:", "--python-version", python, "--implementation", "cp"]
    options += ["--abi", f"cp{python.replace('.', '')}", "--require-hashes", "--dest", str(folder)]
    options += [word for each in found["platforms"] for word in ("--platform", each)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *options]
    _download([*command, "--requirement", str(wanted)], folder, f"{_named(pins)} from PyPI")


def _named(pins: Sequence[Mapping[str, str]]) -> str:
    return ", ".join(f"{each['name']}=={each['version']}" for each in pins)


def _download(command: Sequence[str], folder: Path, what: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise CapabilityError(f"{what} did not come: no answer within {_LIMIT:g} s") from None
    if done.returncode:
        said = [each for each in (done.stderr + done.stdout).splitlines() if "error" in each.lower()]
        reason = one_line(said[-1]) if said else f"exit status {done.returncode}"
        raise CapabilityError(f"{what} did not come: {reason}")
