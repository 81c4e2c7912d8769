"""What a release is made of says the same everywhere: constraints, workflows, licences."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from siplab.experiments.commands import cli
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = ROOT / ".github" / "workflows"
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def name_of(requirement: str) -> str:
    return re.split(r"[\[=<>!~; ]", requirement)[0].lower()


def test_the_constraints_are_the_lowest_versions() -> None:
    lines = (ROOT / "tools" / "lowest.txt").read_text().splitlines()
    lowest = dict(line.split("==") for line in lines if not line.startswith("#"))
    allowed = dict(each.split(">=") for each in PROJECT["dependencies"])
    assert set(lowest) == set(allowed)
    for name, version in lowest.items():
        # 6.0 and 0.6 stand for 6.0.1 and 0.6.0: the least that has a wheel.
        assert version.startswith(allowed[name]), name


@pytest.mark.parametrize("file", ["tests.yml", "release.yml"])
def test_workflows_call_what_there_is(file: str) -> None:
    jobs = yaml.safe_load((WORKFLOWS / file).read_text())["jobs"]
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    called = set(re.findall(r"(?:^|&& )make ([a-z-]+)", "\n".join(scripts), re.MULTILINE))
    assert called
    assert called <= TARGETS


def test_every_python_that_is_named_is_tested() -> None:
    jobs = yaml.safe_load((WORKFLOWS / "tests.yml").read_text())["jobs"]
    named = {each.rsplit(" ", 1)[1] for each in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", each)}
    assert set(jobs["python"]["strategy"]["matrix"]["python"]) == named


def test_only_the_release_may_publish_and_without_a_token() -> None:
    release = yaml.safe_load((WORKFLOWS / "release.yml").read_text())
    assert release["permissions"] == {"contents": "read"}
    assert [name for name, job in release["jobs"].items() if "id-token" in job.get("permissions", {})] == [
        "publish"
    ]
    assert "secrets." not in (WORKFLOWS / "release.yml").read_text()


def test_licences_are_listed() -> None:
    text = (ROOT / "SECURITY.md").read_text().lower()
    extras = [
        each for name, group in PROJECT["optional-dependencies"].items() if name != "dev" for each in group
    ]
    for each in (*PROJECT["dependencies"], *extras, "scapy"):
        if name_of(each) != "setuptools":
            assert name_of(each) in text, each


# The extra `captures`: read captures, and give packets of a lab as scapy's.
WITH_SCAPY = {
    "experiments/bench/dhcp.py",
    "experiments/captures/link_layers.py",
    "experiments/captures/scapy_readers.py",
    "experiments/pytest_plugin/observed.py",
}


def test_scapy_is_imported_by_its_extra_alone() -> None:
    found = {
        str(file.relative_to(ROOT))
        for room in ("alg_models", "experiments", "lab", "siplab")
        for file in (ROOT / room).rglob("*.py")
        if re.search(r"^\s*(?:import|from) scapy", file.read_text(), re.MULTILINE)
    }
    assert found == WITH_SCAPY


def test_nothing_imports_scapy_that_is_not_asked_for_it() -> None:
    """What has no captures to read works where scapy is not installed."""
    names = [f"siplab.experiments.commands.{module}" for _, module, *_ in cli.COMMANDS]
    names += ["siplab", "siplab.pytest_plugin", "siplab.experiments.captures"]
    code = (
        f"import sys, importlib\nfor name in {names}: importlib.import_module(name)\n"
        "assert 'scapy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_lowest_versions_work(tmp_path: Path) -> None:
    """Installed from the index that pip uses; the workflow file runs the same."""
    asked = f"{sys.executable} -m pip download -q --no-deps -d {tmp_path} annotated-types==0.6.0"
    if subprocess.run(shlex.split(asked), capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached from here")
    done = subprocess.run(
        [ROOT / "tools" / "lowest.sh", tmp_path / "lowest"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "lowest: all commands came to their end\n"), done.stderr
    assert "Warning" not in done.stderr
