"""docs/test-your-detector.md, followed to the letter, except pip and apt-get, which need a network."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from siplab.lab.worlds.emulated import fabric
from tests.conftest import ROOT
from tests.experiments.pytest_plugin.test_pytest_plugin import install

PAGE: Final = (ROOT / "docs" / "test-your-detector.md").read_text()
JOBS: Final = ROOT / "tests" / "data" / "ci"
SEES: Final = "0 if seen == request else 2"
# Two models are enough for these tests; the page's own commands name none, so they use the whole catalogue.
FEW: Final = ("--models", "semicolon-loss", "--models", "correct")


def files() -> dict[str, str]:
    """The files that the page tells the reader to write, by name."""
    found = re.findall(r"^## \d: `([\w.]+)`\n.*?^```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return dict(found)


def commands(first: str) -> list[list[str]]:
    lines = re.findall(rf"^    ({first}(?: [^#\n]*)?)", PAGE, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def job(name: str) -> Any:
    return yaml.safe_load((JOBS / name).read_text())


def script(name: str) -> list[str]:
    """The commands of a job, line by line."""
    if name == "github.yml":
        return [step["run"] for step in job(name)["jobs"]["alg"]["steps"] if "run" in step]
    return [*job(name)["alg"]["before_script"], *job(name)["alg"]["script"]]


class Reader:
    """A reader with the page's files in a directory, and siplab installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "directory"
        self.folder.mkdir()
        install(folder / "installed")
        for name, text in files().items():
            (self.folder / name).write_text(text)
        self._path = os.pathsep.join([str(folder / "installed"), str(ROOT)])

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = command
        module = {"pytest": "pytest", "siplab": "siplab"}[program]
        return subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": self._path, "COLUMNS": "120", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def blind(self) -> None:
        """What the page asks for."""
        file = self.folder / "detect.py"
        assert file.read_text().count(SEES) == 1
        assert f"write `0` for `{SEES}`" in PAGE
        file.write_text(file.read_text().replace(SEES, "0"))


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


@pytest.mark.needs("emulated")
def test_the_tests_of_the_page_pass_and_fail_as_it_says(reader: Reader) -> None:
    assert commands("pytest") == [["pytest"], ["pytest", "-n", "2"]]
    for command in commands("pytest"):
        done = reader.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"= 10 passed in", done.stdout)
    reader.blind()
    (line,) = [each for each in script("github.yml") if each.startswith("pytest")]
    done = reader.run(*shlex.split(line), CI="true")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"= 5 failed, 5 passed in", done.stdout)
    shown = re.search(r"^```\n(-+ siplab 1: .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    for each in shown[1].splitlines():
        # The time differs each time, and the width depends on the terminal.
        pattern = re.escape(each.strip("- ")).replace(r"0\.026", r"[\d.]+")
        assert each == "..." or re.search(pattern, done.stdout), each
    assert (reader.folder / "pytest.xml").is_file()
    assert len(list((reader.folder / "failed").rglob("*.pcapng"))) == 5


@pytest.mark.needs("emulated")
def test_the_scoreboard_of_the_page_holds_a_baseline(reader: Reader) -> None:
    first, second = commands("siplab score")
    assert reader.run(*first, *FEW).returncode == 0
    assert (reader.folder / "baseline.json").is_file()
    for name in ("github.yml", "gitlab.yml"):
        assert shlex.join(second) in script(name)
    reader.blind()
    done = reader.run(*second, *FEW)
    assert done.returncode == 1, done.stdout + done.stderr
    shown = re.search(r"^```\n(detect no longer .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    for line in shown[1].splitlines():
        assert line in done.stdout
    assert "<failure" in (reader.folder / "score.xml").read_text()


def test_the_jobs_of_the_page_are_those_that_are_looked_at_here() -> None:
    shown = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shown[-2:] == [(JOBS / name).read_text() for name in ("github.yml", "gitlab.yml")]


@pytest.mark.parametrize("name", ["github.yml", "gitlab.yml"])
def test_a_job_installs_what_the_emulated_world_takes(name: str) -> None:
    (line,) = [each for each in script(name) if "apt-get install" in each]
    assert line.removeprefix("sudo ") in PAGE.replace("sudo ", "")
    assert {*fabric.TOOLS.values(), "libnetfilter-queue-dev", "gcc"} <= set(line.split())
    assert "pip install -r requirements.txt" in script(name)
    setup = (ROOT / "tools" / "setup.sh").read_text()
    assert all(package in setup for package in line.split("--no-install-recommends ")[1].split())


def test_the_job_on_ubuntu_allows_namespaces() -> None:
    from siplab.lab.worlds.emulated import forbidden

    (line,) = [each for each in script("github.yml") if "sysctl" in each]
    name, value = line.removeprefix("sudo sysctl -w ").split("=")
    path = f"/proc/sys/{name.replace('.', '/')}"
    asked = {path: "1"}
    assert value == "0"
    assert path in forbidden.reason(root=False, reader=asked.get)
