"""Makes the archive that the sandbox imports: wheels, and the project without what needs a machine.

The same files give the same archive, byte for byte.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

# Rooms and folders that are left out: they need a kernel, a terminal, or other people's programs.
LEFT_OUT: Final = (
    "experiments/calibration",
    "experiments/commands",
    "experiments/detect",
    "experiments/interactive",
    "experiments/pytest_plugin",
    "experiments/score",
    "lab/worlds/emulated",
)
ROOMS: Final = ("lab", "topologies", "alg_models", "experiments")
_SURFACE: Final = ("__init__.py", "model.py", "scenario.py", "detector.py")
_SUFFIXES: Final = (".py", ".yaml", ".json", ".txt", ".so")
# Of scapy only what reads files is needed. Protocols and sending would be most of its size.
_UNUSED: Final = tuple(
    f"scapy/{each}/" for each in ("arch", "asn1", "cbor", "contrib", "layers", "modules", "tools")
)
_DATE: Final = (2020, 1, 1, 0, 0, 0)


def packed(wheels: Iterable[Path]) -> bytes:
    """The archive: ``siplab/`` and the packages of ``wheels``."""
    target = io.BytesIO()
    files = dict(sorted([*_project(), *(each for wheel in wheels for each in _wheel(wheel))]))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), data, zipfile.ZIP_DEFLATED, 9)
    return target.getvalue()


def _project() -> Iterator[tuple[str, bytes]]:
    # The folder of this package's rooms, both in a checkout and in an installed wheel.
    house = Path(__file__).parents[2]
    surface = house if (house / "model.py").is_file() else house / "siplab"
    for name in _SURFACE:
        yield f"siplab/{name}", (surface / name).read_bytes()
    for room in ROOMS:
        for path in sorted((house / room).rglob("*")):
            name = path.relative_to(house).as_posix()
            if path.suffix in _SUFFIXES and not any(name.startswith(f"{each}/") for each in LEFT_OUT):
                yield f"siplab/{name}", path.read_bytes()


def _wheel(path: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a wheel that are imported. Extension modules are kept only for the browser's Python."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            foreign = name.endswith(".so") and "wasm32" not in path.name
            wanted = name.endswith((*_SUFFIXES, ".dist-info/METADATA", ".typed", "/VERSION"))
            licence = ".dist-info/licenses/" in name and not name.endswith("/")
            if (wanted or licence) and not foreign and not name.startswith(_UNUSED):
                yield name, archive.read(name)
