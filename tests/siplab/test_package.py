"""What is installed is one package, and it gets on with projects that have folders of the same names."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from siplab import __version__

ROOT = Path(__file__).parents[2]
ROOMS = ("alg_models", "experiments", "lab", "topologies")
CALL = ("-m", "siplab", "call", "--model", "semicolon-loss", "--scenario", "register", "--world", "simulated")


def run(*command: str | Path, cwd: Path, status: int = 0) -> str:
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == status, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def build(source: Path, target: str, folder: Path) -> Path:
    """Build without a network: the build backend is called as ``pip`` and ``build`` call it."""
    code = f"import hatchling.build as b; print(b.build_{target}({str(folder)!r}))"
    return folder / run(sys.executable, "-c", code, cwd=source).split()[-1]


def test_every_module_of_the_surface_is_built() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["only-include"]
    own = {f"siplab/{each.name}" for each in (ROOT / "siplab").iterdir() if each.suffix in (".py", ".typed")}
    assert set(listed) == own | set(ROOMS)


def test_the_version_is_the_same_everywhere() -> None:
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel from the checkout, and one from the unpacked sdist."""
    folder = tmp_path_factory.mktemp("built")
    (folder / "again").mkdir()
    sdist = build(ROOT, "sdist", folder)
    shutil.unpack_archive(sdist, folder)
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    tops = {each.name for each in unpacked.iterdir() if each.is_dir()}
    assert tops == {"siplab", *ROOMS}
    return build(ROOT, "wheel", folder), build(unpacked, "wheel", folder / "again")


def test_wheel_and_sdist_hold_the_same_package(built: tuple[Path, Path]) -> None:
    names, again = (set(zipfile.ZipFile(each).namelist()) for each in built)
    assert names == again
    assert {each.partition("/")[0] for each in names} == {"siplab", f"siplab-{__version__}.dist-info"}
    for room in ROOMS:
        for file in (ROOT / room).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"siplab/{file.relative_to(ROOT)}" in names


def test_installed_beside_a_project_with_such_folders(built: tuple[Path, Path], tmp_path: Path) -> None:
    """Installed from the sdist's wheel, used in somebody's project, uninstalled."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    packages = Path(
        run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    )
    # Dependencies come from here, and siplab does not: a .pth file's folder is not searched for .pth files.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    before = {str(each.relative_to(packages)) for each in packages.rglob("*")}
    pip = (sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", "--no-compile", built[1], cwd=tmp_path)

    project = tmp_path / "project"
    for room in ROOMS:
        (project / room).mkdir(parents=True)
        (project / room / "__init__.py").write_text("MINE = True\n")
    (project / "test_mine.py").write_text(
        "import alg_models, experiments, lab, siplab, siplab.lab, topologies\n\n"
        "def test_mine():\n"
        "    assert all(each.MINE for each in (alg_models, experiments, lab, topologies))\n"
        f"    assert siplab.lab.__file__.startswith({str(packages)!r})\n\n"
        "def test_lab(alg_lab):\n"
        "    assert alg_lab.trial('semicolon-loss', 'register').outcome == 'fail'\n"
    )
    tested = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--siplab-world", "simulated", cwd=project
    )
    assert "2 passed" in tested
    assert f"siplab {__version__}" in run(python, "-m", "siplab", "--version", cwd=project)
    assert "Fails: 2 of 2 checks" in run(python, *CALL, cwd=project)
    (project / "own.yaml").write_text("{id: own, models: none, scenarios: register, world: simulated}\n")
    # The journal of a run looks at the package's own files.
    run(python, "-m", "siplab", "run", "own.yaml", "--out", "kept", cwd=project)

    run(*pip, "uninstall", "--yes", "siplab", cwd=tmp_path)
    left = {str(each.relative_to(packages)) for each in packages.rglob("*")} - before
    assert not {each for each in left if "siplab" in each}
    run(python, "-c", "import siplab", cwd=tmp_path, status=1)


def test_a_checkout_without_links(tmp_path: Path) -> None:
    """Git on Windows writes the links as text files: the rooms are found all the same."""
    (tmp_path / "siplab").mkdir()
    for file in (ROOT / "siplab").glob("*.py"):
        (tmp_path / "siplab" / file.name).write_text(file.read_text())
    for room in ROOMS:
        (tmp_path / "siplab" / room).write_text(f"../{room}")
        (tmp_path / room).symlink_to(ROOT / room)
    code = "import siplab, siplab.lab; print(siplab.lab.__file__, siplab.load_model('none').id)"
    assert run(sys.executable, "-c", code, cwd=tmp_path).split() == [f"{tmp_path}/lab/__init__.py", "none"]
