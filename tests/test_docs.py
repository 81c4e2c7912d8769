"""What the documentation says is run, so that it stays true."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.library import experiment
from siplab.experiments.trial import registry
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_model_of_the_page_works(tmp_path: Path) -> None:
    (code,) = blocks(ROOT / "docs" / "models.md", "python")
    file = tmp_path / "mine.py"
    file.write_text(code)
    known = catalogue.load([file])
    assert known.get("strip-user-agent").card.summary
    spec = TrialSpec("home", "strip-user-agent", "register", model_paths=(str(file),))
    result, trace = run(spec)
    assert result.outcome == "pass"
    inside = [each for each in trace.sip() if each.tap == "router/inside" and not each.leaving]
    outside = [each for each in trace.sip() if each.tap == "router/outside" and each.leaving]
    assert inside
    assert all(b"User-Agent" in each.payload for each in inside)
    assert outside
    assert not any(b"User-Agent" in each.payload for each in outside)


def test_a_model_from_nothing(tmp_path: Path) -> None:
    """docs/write-a-model.md, followed to the letter; pip alone is left out, it may need a network."""
    page = (ROOT / "docs" / "write-a-model.md").read_text()
    files = dict(
        re.findall(r"^## \d[^\n]*: `([\w.]+)`\n.*?^```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    )
    assert set(files) == {"hops_lost.py", "pyproject.toml", "test_hops_lost.py"}
    assert len([line for line in files["hops_lost.py"].splitlines() if line]) <= 15
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    project = tomllib.loads(files["pyproject.toml"])["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = project["entry-points"]["siplab.models"]
    (info / "entry_points.txt").write_text(
        "[siplab.models]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
    )

    def run_there(*arguments: str) -> str:
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "120"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    (tested,) = re.findall(r"^    \.venv/bin/python (-m pytest .*)", page, re.MULTILINE)
    assert re.search(
        r"^3 passed", run_there(*shlex.split(tested), "-q", "-p", "no:cacheprovider"), re.MULTILINE
    )
    commands = re.findall(r"^    siplab (.*)", page, re.MULTILINE)
    shown = [run_there("-m", "siplab", *shlex.split(command)) for command in commands]
    assert [command.split()[0] for command in commands] == ["models", "call", "vendors"]
    assert "Sets Max-Forwards to 0." in shown[0]
    assert "483 Too Many Hops" in shown[1]
    assert "Max-Forwards" in shown[2]


def test_the_experiment_of_the_page_is_valid(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "docs" / "experiments.md", "yaml")
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    assert experiment.load(str(file)).trials()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_exist(page: Path) -> None:
    from siplab.experiments.commands.cli import app

    groups = {group.name for group in app.registered_groups}
    commands = {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}
    for word in re.findall(r"^    siplab ([a-z]+)", page.read_text(), re.MULTILINE):
        assert word in groups | commands, f"{page.name}: siplab {word}"


def test_every_item_is_documented() -> None:
    for known in (registry.scenarios(), registry.detectors(), registry.mitigations()):
        for item in known:
            assert item.summary.endswith("."), item.id
            assert len(item.about) > 40, item.id


def test_the_package_imports_downwards_only() -> None:
    """The layers of docs/architecture.md: nothing imports what stands above it."""
    order = [
        "siplab.lab.wire",
        "siplab.lab.gateway",
        "siplab.lab.worlds",
        "siplab.topologies",
        "siplab.alg_models",
        "siplab.experiments",
    ]
    above = {layer: order[index + 1 :] for index, layer in enumerate(order)}
    above["siplab.alg_models"] = ["siplab.experiments", "siplab.lab.worlds", "siplab.topologies"]
    for layer, forbidden in above.items():
        for file in (ROOT / layer.replace(".", "/")).rglob("*.py"):
            for module in re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE):
                for name in forbidden:
                    assert f"{module}.".startswith(f"{name}.") is False, f"{file} imports {module}"


def test_heavy_packages_are_imported_only_when_needed() -> None:
    """scapy takes a second to import and mininet is not everywhere: the command must start without both."""
    code = (
        "import sys, siplab.experiments.commands.call, siplab.experiments.trial.worker;"
        "print([m for m in ('scapy', 'mininet', 'netfilterqueue') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
