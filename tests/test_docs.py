"""What the documentation says is run, so that it stays true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from alg_models import catalogue
from experiments import experiment, registry
from experiments.trial import TrialSpec, run

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
    from experiments.cli import app

    groups = {group.name for group in app.registered_groups}
    commands = {each.name or each.callback.__name__ for each in app.registered_commands if each.callback}
    for word in re.findall(r"^    alglab ([a-z]+)", page.read_text(), re.MULTILINE):
        assert word in groups | commands, f"{page.name}: alglab {word}"


def test_every_item_is_documented() -> None:
    for known in (registry.scenarios(), registry.detectors(), registry.mitigations()):
        for item in known:
            assert item.summary.endswith("."), item.id
            assert len(item.about) > 40, item.id


def test_the_package_imports_downwards_only() -> None:
    """The layers of docs/architecture.md: nothing imports what stands above it."""
    order = ["lab.wire", "lab.gateway", "lab.agents", "lab.worlds", "topologies", "alg_models", "experiments"]
    above = {layer: order[index + 1 :] for index, layer in enumerate(order)}
    above["lab.gateway"].remove("lab.agents")
    above["lab.agents"].append("lab.gateway")  # neither knows the other
    above["lab.gateway"].append("lab.agents")
    above["alg_models"] = ["experiments", "lab.worlds", "lab.agents", "topologies"]
    for layer, forbidden in above.items():
        for file in (ROOT / layer.replace(".", "/")).rglob("*.py"):
            for module in re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE):
                for name in forbidden:
                    assert f"{module}.".startswith(f"{name}.") is False, f"{file} imports {module}"


def test_heavy_packages_are_imported_only_when_needed() -> None:
    """scapy takes a second to import and mininet is not everywhere: the command must start without both."""
    code = (
        "import sys, experiments.cli, experiments.worker;"
        "print([m for m in ('scapy', 'mininet', 'netfilterqueue') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
