"""What a stored result says that it holds for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from siplab.experiments.tables import inputs
from siplab.experiments.trial.spec import TrialSpec
from tests.conftest import ROOT

BASE = TrialSpec(model="semicolon-loss", scenario="register")
CODE = """
from siplab.experiments.tables import tables
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
found = tables(trial.run(TrialSpec(model=model, scenario="outgoing-call", changes=True))[0]
               for model in ("linux", "blind-ip-replace+semicolon-loss"))
print([(each["key"], each["digest"]) for each in found["trials"]])
"""


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "port-overflow(mode=sum)"},
        {"scenario": "register", "topology": "cgnat"},
        {"scenario": "outgoing-call"},
        {"scenario": "", "detector": "mirror"},
        {"mitigations": ("stun",)},
        {"phone": "plain"},
        {"server": "rport-aware"},
        {"far_phone": "libre"},
        {"seed": 2},
        {"longest": 3.0},
    ],
)
def test_another_trial_has_another_key(changed: dict[str, object]) -> None:
    other = TrialSpec(**{**vars(BASE), **changed})
    try:
        key = inputs.key_of(other, "simulated")
    except ValueError:
        pytest.fail(f"{changed} names what there is not")
    assert key != inputs.key_of(BASE, "simulated")


def test_the_key_is_that_of_the_trial_whoever_names_its_endpoints() -> None:
    named = TrialSpec(**{**vars(BASE), "phone": "desk", "server": "proxy-detect", "far_phone": "desk"})
    assert inputs.key_of(named, "simulated") == inputs.key_of(BASE, "simulated")
    assert inputs.key_of(BASE, "emulated") != inputs.key_of(BASE, "simulated")


def test_a_model_of_a_users_own_is_another_one_once_its_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = (ROOT / "alg_models" / "faults" / "semicolon_loss.py").read_text()
    file.write_text(text.replace('"semicolon-loss"', '"mine"'))
    spec = TrialSpec(model="mine", scenario="register", model_paths=(str(file),))
    code = (
        "import sys; from siplab.experiments.tables import inputs; "
        "from siplab.experiments.trial.spec import TrialSpec; "
        f"print(inputs.inputs_of({spec!r})['model', 'mine'])"
    )

    def now() -> str:
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
        ).stdout

    before = now()
    file.write_text(file.read_text() + "\n# another\n")
    assert now() != before


def test_a_model_names_the_modules_that_it_is_made_of() -> None:
    found = [each.split()[0] for each in inputs._sources({"siplab.alg_models.faults.semicolon_loss"})]
    assert "siplab.alg_models.steps.headers" in found
    assert not [each for each in found if each.startswith("siplab.lab")]


def test_keys_and_digests_are_the_same_with_another_hash_seed() -> None:
    said = {
        subprocess.run(
            [sys.executable, "-c", CODE],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        ).stdout
        for seed in ("1", "77")
    }
    assert len(said) == 1
