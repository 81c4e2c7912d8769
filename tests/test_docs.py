"""The commands and code in the documentation are run, so that it stays true."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from siplab.alg_models import catalogue
from siplab.experiments.cases.schema import Outcome as CaseOutcome
from siplab.experiments.library import experiment
from siplab.experiments.score import plan as planning
from siplab.experiments.score.tally import OUTCOMES
from siplab.experiments.trial import registry
from siplab.experiments.trial.run import run
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.gateway.alg import Evidence, FaultClass
from tools import pictures

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


# What a page's commands must show, in their order.
FROM_NOTHING = {
    "model": ["483 Too Many Hops", "Sets Max-Forwards to 0.", "Max-Forwards"],
    "detector": ["Via, Contact changed", "Compares an OPTIONS with its encoded image.", "options-mirror"],
    "scenario": [
        "pass  called back: rings",
        "FAIL  called back: rings",
        "is called back.",
        "pass  called back: rings",
    ],
}
PLAY = """
import json, shlex, sys
from siplab.experiments.commands.cli import app
for command in json.loads(sys.argv[1]):
    app([*shlex.split(command), *(["--world", "simulated"] if command.startswith("call") else [])],
        standalone_mode=False)
    print("\\0", flush=True)
"""


@pytest.mark.parametrize("kind", FROM_NOTHING)
def test_from_nothing(kind: str, tmp_path: Path) -> None:
    """docs/write-a-*.md, followed to the letter, except pip, which may need a network."""
    page = (ROOT / "docs" / f"write-a-{kind}.md").read_text()
    files = dict(
        re.findall(r"^## \d[^\n]*: `([\w.]+)`\n.*?^```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    project = tomllib.loads(files.pop("pyproject.toml"))["project"]
    (module,) = project["entry-points"][f"siplab.{kind}s"].values()
    assert set(files) == {f"{module}.py", f"test_{module}.py"}

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

    def play(commands: list[str]) -> list[str]:
        return run_there("-c", PLAY, json.dumps(commands)).split("\0\n")[:-1]

    commands = re.findall(r"^    siplab (.*)", page, re.MULTILINE)
    by_path = [each for each in commands if f"--{kind}-path" in each]
    shown = play(by_path)
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    (info / "entry_points.txt").write_text(f"[siplab.{kind}s]\nown = {module}\n")
    (tested,) = re.findall(r"^    python (-m pytest .*)", page, re.MULTILINE)
    assert re.search(
        r"^3 passed", run_there(*shlex.split(tested), "-q", "-p", "no:cacheprovider"), re.MULTILINE
    )
    shown += play([each for each in commands if each not in by_path])
    for text, expected in zip(shown, FROM_NOTHING[kind], strict=True):
        assert expected in text


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    for code in blocks(ROOT / "README.md", "python"):
        exec(code, {})
    out = capsys.readouterr().out
    assert out.startswith("fail Passes if the router writes Via of each REGISTER going out as a correct ALG")
    assert out.endswith("mirror 1.0 0.0\n")


SURFACE = {"siplab", "siplab.model", "siplab.detector", "siplab.scenario", "siplab.pytest_plugin"}
EXAMPLES = [
    *((page.name, number, code) for page in PAGES for number, code in enumerate(blocks(page, "python"))),
    *((each.name, 0, each.read_text()) for each in sorted((ROOT / "tests" / "data").rglob("*.py"))),
]


@pytest.mark.parametrize(("name", "number", "code"), EXAMPLES, ids=[f"{n}-{i}" for n, i, _ in EXAMPLES])
def test_examples_import_the_surface_and_nothing_deeper(name: str, number: int, code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        modules = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        for module in modules:
            if module.partition(".")[0] != "siplab":
                continue
            assert module in SURFACE, f"{name} imports {module}"
            if isinstance(node, ast.ImportFrom):
                offered = importlib.import_module(module).__all__
                assert {each.name for each in node.names} <= set(offered), f"{name}: {module}"


@pytest.mark.parametrize("module", sorted(SURFACE))
def test_every_name_of_the_surface_is_there_and_explained(module: str) -> None:
    offered = importlib.import_module(module)
    assert offered.__doc__
    assert len(set(offered.__all__)) == len(offered.__all__)
    for name in offered.__all__:
        thing = getattr(offered, name)
        if inspect.isclass(thing) or (inspect.isfunction(thing) and not name.startswith("pytest_")):
            assert thing.__doc__ or name == "_siplab_pool", f"{module}.{name}"
    if module == "siplab":
        assert len(offered.__all__) <= 30


def test_the_surface_is_imported_when_it_is_used() -> None:
    code = "import sys, siplab; print(len([each for each in sys.modules if each.startswith('siplab.')]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_the_pictures_show_what_is_there() -> None:
    """If it fails: python -m tools.pictures --write"""
    assert pictures.out_of_date() == []


def terms() -> set[str]:
    """The terms in docs/glossary.md."""
    page = (ROOT / "docs" / "glossary.md").read_text()
    return {word.strip() for found in re.findall(r"\*\*(.+?)\*\*", page) for word in found.split(",")}


def printed() -> set[str]:
    """The words that are printed for classes, levels, kinds, verdicts, outcomes, fates and causes."""
    words = {each for each in get_args(FaultClass) if each}
    words |= {each.value for each in Evidence}
    words |= set(planning.GROUPS) - {"clean"} | set(get_args(planning.Expected))
    words |= {each.card.kind for each in catalogue.load()}
    words |= (
        set(OUTCOMES) | set(get_args(CaseOutcome)) | {"pass", "fail", "alg", "clean", "undecided", "error"}
    )
    for module, name in (
        ("siplab.lab.gateway.fate", "Fate"),
        ("siplab.experiments.explain.blame", "CauseKind"),
    ):
        if importlib.util.find_spec(module) is not None:
            words |= {str(each.value) for each in getattr(importlib.import_module(module), name, ())}
    return words - {"void"}


def test_the_glossary_explains_what_is_printed() -> None:
    assert sorted(printed() - terms()) == []


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
def test_files_that_pages_name_exist(page: Path) -> None:
    rooms = "alg_models|experiments|lab|siplab|tests|tools|topologies"
    for target in re.findall(rf"`((?:{rooms})/[\w./-]*)`", page.read_text()):
        assert (ROOT / target).exists(), f"{page.name} names {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_pages_exist(page: Path) -> None:
    from siplab.experiments.commands.cli import app

    groups = {group.name for group in app.registered_groups}
    commands = {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}
    for word in re.findall(r"^    siplab ([a-z]+)", page.read_text(), re.MULTILINE):
        assert word in groups | commands, f"{page.name}: siplab {word}"


def test_the_page_of_commands_has_all_of_them() -> None:
    from siplab.experiments.commands.cli import app

    names = {group.name for group in app.registered_groups}
    names |= {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}
    page = (ROOT / "docs" / "commands.md").read_text()
    assert {name for name in names if not re.search(rf"`(siplab )?{name}\b", page)} == set()


def test_every_item_is_documented() -> None:
    for known in (registry.scenarios(), registry.detectors(), registry.mitigations()):
        for item in known:
            assert item.summary.endswith("."), item.id
            assert len(item.about) > 40, item.id


def test_heavy_packages_are_imported_only_when_needed() -> None:
    """scapy takes a second to import and mininet is not everywhere: the command must start without both."""
    code = (
        "import sys, siplab.experiments.commands.call, siplab.experiments.trial.worker;"
        "print([m for m in ('scapy', 'mininet', 'netfilterqueue') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
