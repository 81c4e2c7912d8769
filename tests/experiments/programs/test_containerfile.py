"""The container file of siplab itself: built without network, of a base and wheels that are here."""

from __future__ import annotations

import io
import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import docker
import pytest

from tests import wheelhouse
from tests.command import siplab
from tests.conftest import ROOT
from tests.experiments.programs import images

PARTS = ("alg_models", "experiments", "lab", "siplab", "topologies")
FILES = (
    "CHANGELOG.md",
    "CITATION.cff",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "Containerfile",
    ".dockerignore",
)
_PYTHON = str(Path(sys.executable).resolve())
_LEFT_OUT = {"EXTERNALLY-MANAGED", "lib-dynload", "__pycache__", "test", "idlelib", "tkinter", "lib2to3"}


def base() -> bytes:
    """A root file system with this machine's Python, pip and a shell."""
    data = io.BytesIO(images.image(_PYTHON, *map(str, [*_extensions(), *_of_the_system()])))
    with tarfile.open(fileobj=data, mode="a", dereference=True) as archive:
        library = Path(sysconfig.get_path("stdlib"))
        for each in sorted(library.iterdir()):
            archive.add(str(each), str(each).lstrip("/"), filter=_needed)
        import pip

        place = Path("usr/local/lib", library.name, "dist-packages")
        images.add_folders(archive, ["usr/local/bin", *images.above(str(place / "pip"))[1:]])
        archive.add(str(Path(pip.__file__).parent), f"{place}/pip", filter=_needed)
        for name in ("usr/bin/python3", "bin/rm"):
            link = tarfile.TarInfo(name)
            link.type = tarfile.SYMTYPE
            link.linkname = "busybox" if name == "bin/rm" else _PYTHON
            archive.addfile(link)
    return data.getvalue()


def _extensions() -> list[Path]:
    return sorted(Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"))


def _of_the_system() -> list[Path]:
    """What compiled wheels may need of any system (PEP 600)."""
    names = ("libgcc_s.so.1", "librt.so.1", "libpthread.so.0", "libdl.so.2", "libm.so.6", "libutil.so.1")
    return [path for name in names for path in Path("/usr/lib").glob(f"*/{name}")]


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if _LEFT_OUT.intersection(Path(entry.name).parts) else entry


def test_the_build_is_given_what_it_needs_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    given = {each.removeprefix("!") for each in lines if each.startswith("!")}
    assert lines[0] == "*"
    assert given == {*PARTS, *FILES, "wheels"} - {"Containerfile", ".dockerignore"}
    assert all((ROOT / each).exists() for each in (*PARTS, *FILES))


@pytest.mark.deep
@pytest.mark.needs("docker")
def test_it_is_built_without_network_and_plays_the_demo(engine: Any, tmp_path: Path) -> None:
    for each in PARTS:
        shutil.copytree(
            ROOT / each, tmp_path / each, symlinks=True, ignore=shutil.ignore_patterns("__pycache__")
        )
    for each in FILES:
        shutil.copyfile(ROOT / each, tmp_path / each)
    (tmp_path / "wheels").mkdir()
    needs = ["annotated-types", "pydantic", "PyYAML", "rich", "typer", "trustme", "hatchling"]
    wheelhouse.fill(tmp_path / "wheels", needs)
    engine.api.import_image_from_data(base(), repository="siplab-base", tag="1")
    try:
        engine.images.build(
            path=str(tmp_path),
            dockerfile="Containerfile",
            buildargs={"BASE": "siplab-base:1"},
            network_mode="none",
            tag="siplab:test",
        )
    except docker.errors.BuildError as error:
        pytest.fail("".join(str(each.get("stream", "")) for each in error.build_log))
    how = {"network_mode": "none", "read_only": True, "remove": True, "environment": {"COLUMNS": "120"}}
    shown = engine.containers.run("siplab:test", ["demo"], **how)
    here = siplab("demo")
    assert here.returncode == 0
    assert shown.decode() == here.stdout
