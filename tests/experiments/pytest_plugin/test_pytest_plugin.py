"""The pytest plugin as its users meet it: each test here is a run of pytest in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

import siplab
from siplab.alg_models import catalogue
from tests.command import path_without
from tests.conftest import ROOT, OrdinaryUser

pytest_plugins = ["pytester"]

EXAMPLES: Final = ROOT / "tests" / "data" / "plugin"
Run = Callable[..., pytest.RunResult]


def install(folder: Path) -> None:
    """What pip would write: the entry point as it stands in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name']}-{siplab.__version__}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {siplab.__version__}\n"
    )
    points = project["entry-points"]["pytest11"]
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))


@pytest.fixture
def run(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run pytest with the plugin installed; ``ci``: as a machine for continuous integration.

    ``here``: in the process of the test, where nothing is imported anew.
    """
    install(tmp_path / "installed")
    path = [str(tmp_path / "installed"), str(ROOT)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("CI", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)

    def go(*arguments: str, ci: bool = False, here: bool = False) -> pytest.RunResult:
        if ci:
            monkeypatch.setenv("CI", "true")
        start = pytester.runpytest_inprocess if here else pytester.runpytest_subprocess
        return start("-p", "no:cacheprovider", "-ra", *arguments)

    return go


def example(pytester: pytest.Pytester, name: str) -> None:
    shutil.copy(EXAMPLES / f"{name}.py", pytester.path / f"test_{name}.py")


# -- labs, trials, models ----------------------------------------------------------------------------


@pytest.mark.needs("emulated")
def test_programs_in_labs(pytester: pytest.Pytester, run: Run) -> None:
    example(pytester, "programs")
    run().assert_outcomes(passed=11)


@pytest.mark.needs("emulated")
def test_workers_side_by_side(pytester: pytest.Pytester, run: Run) -> None:
    """Each has bubbles of its own."""
    example(pytester, "programs")
    example(pytester, "models")
    run("-n", "2").assert_outcomes(passed=11 + 12)


@pytest.mark.needs("emulated")
def test_both_worlds_give_the_same_bytes(pytester: pytest.Pytester, run: Run) -> None:
    example(pytester, "models")
    seen = {}
    for world in ("simulated", "emulated"):
        run("--siplab-world", world).assert_outcomes(passed=12)
        seen[world] = (pytester.path / "seen.txt").read_text()
        (pytester.path / "seen.txt").unlink()
    assert len(seen["simulated"].splitlines()) == 8
    assert seen["simulated"] == seen["emulated"]


def test_without_an_emulated_world_trials_are_simulated(pytester: pytest.Pytester, run: Run) -> None:
    example(pytester, "models")
    run("--siplab-world", "simulated", here=True).assert_outcomes(passed=12)


@pytest.mark.needs("emulated", "kernel-alg")
def test_a_gateway_of_the_kernels_own(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import pytest
        from siplab.lab.errors import UsageError

        def test_kernel(alg_lab):
            lab = alg_lab("linux", gateway="kernel", agents=["server"])
            assert lab.run("phone", "sh -c 'ip route get 198.51.100.10'").status == 0
            trial = alg_lab.trial("linux", "register", gateway="kernel")
            assert trial.outcome == "pass"
            assert lab.run("phone", "true").status == 0
            with pytest.raises(UsageError, match="kernel's gateway"):
                trial.expected
            trial = alg_lab.trial("linux", "register", gateway="kernel")
            assert "Via" in trial.changed_fields
        """
    )
    run().assert_outcomes(passed=1)


@pytest.mark.needs("emulated")
def test_as_an_ordinary_user(ordinary_user: OrdinaryUser) -> None:
    with tempfile.TemporaryDirectory(prefix="siplab-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        install(folder / "installed")
        (folder / "test_it.py").write_text(
            "import os\n\n\ndef test_it(alg_lab):\n    assert os.getuid() != 0\n"
            "    assert alg_lab('none').run('phone', 'id -u').stdout == '0\\n'\n"
        )
        path = os.pathsep.join((str(folder / "installed"), ordinary_user.project, ordinary_user.packages))
        done = ordinary_user.run(
            ["-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)], PYTHONPATH=path, CI="true"
        )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def collected(result: pytest.RunResult) -> list[str]:
    return [match[1] for line in result.outlines if (match := re.match(r".*::test_it\[(.*)\]$", line))]


@pytest.mark.parametrize("kind", ["all", "faults", "controls", "reference-implementations", "variants"])
def test_names_that_stand_for_several_models(pytester: pytest.Pytester, run: Run, kind: str) -> None:
    pytester.makepyfile(
        f"import pytest\n\n@pytest.mark.alg_models({kind!r}, 'none')\ndef test_it(alg_model): pass\n"
    )
    known = catalogue.load()
    expected = {
        "all": [each.id for each in known],
        "variants": [each.id for each in known.runnable()],
        "faults": [*(each.id for each in known if each.card.kind == "fault"), "none"],
        "controls": [each.id for each in known if each.card.kind == "control"],
        "reference-implementations": [
            *(each.id for each in known if each.card.kind == "reference-implementation"),
            "none",
        ],
    }[kind]
    assert collected(run("--collect-only", "-q", here=True)) == expected


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("@mark('nosuch')\ndef test_it(alg_model): pass", "alg_models: unknown model 'nosuch'"),
        ("@mark()\ndef test_it(alg_model): pass", "alg_models: it names no model"),
        ("@mark('none')\ndef test_it(): pass", "test_it is marked alg_models, but takes no alg_model"),
        ("def test_it(alg_model): pass", "alg_model comes from the mark"),
    ],
)
def test_a_mark_that_makes_no_sense(pytester: pytest.Pytester, run: Run, code: str, complaint: str) -> None:
    pytester.makepyfile(f"import pytest\n\nmark = pytest.mark.alg_models\n\n{code}\n")
    result = run(here=True)
    assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED)
    text = result.stdout.str()
    assert complaint in text
    assert "Traceback" not in text
    assert "During handling" not in text


# -- where there is no emulated world ------------------------------------------------------------------

IN_A_LAB: Final = """
    def test_program(alg_lab):
        assert alg_lab("none").run("phone", "true").status == 0


    def test_trial(alg_lab):
        assert alg_lab.trial("none", "register").outcome == "pass"
    """


@pytest.fixture
def no_emulated_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine without one of the programs that it takes; gives what is said of it."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", path_without("mnexec", tmp_path / "bin"))
    return "siplab: no emulated world here: *mnexec: apt-get install mininet"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it says another thing")
def test_is_skipped_with_the_reason(pytester: pytest.Pytester, run: Run, no_emulated_world: str) -> None:
    pytester.makepyfile(IN_A_LAB)
    result = run()
    result.assert_outcomes(skipped=1, passed=1)
    result.stdout.fnmatch_lines([f"SKIPPED*{no_emulated_world}*"])
    run("--siplab-world", "emulated").assert_outcomes(skipped=2)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it says another thing")
def test_fails_where_everything_has_to_be_there(
    pytester: pytest.Pytester, run: Run, no_emulated_world: str
) -> None:
    pytester.makepyfile(IN_A_LAB)
    result = run(ci=True)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([f"FAILED*{no_emulated_world}*"])
    run("--siplab-world", "emulated", ci=True).assert_outcomes(failed=2)


@pytest.mark.parametrize("ci", [False, True])
def test_namespaces_that_are_not_permitted(pytester: pytest.Pytester, run: Run, ci: bool) -> None:
    """The reason is the one that a container without rights gives."""
    pytester.makeconftest(
        """
        from siplab.lab.worlds.emulated import capability

        capability.obstacle = lambda: "namespaces: root may not make namespaces here (a container?)"
        """
    )
    pytester.makepyfile(IN_A_LAB)
    result = run(ci=ci)
    result.assert_outcomes(**{"failed" if ci else "skipped": 1}, passed=1)
    result.stdout.fnmatch_lines(["*no emulated world here: namespaces: root may not make namespaces*"])


def test_programs_where_the_simulated_world_was_asked_for(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(IN_A_LAB)
    result = run("--siplab-world", "simulated", ci=True, here=True)
    result.assert_outcomes(skipped=1, passed=1)
    result.stdout.fnmatch_lines(["SKIPPED*programs need the emulated world*simulated was asked for*"])


# -- tests that fail -----------------------------------------------------------------------------------

FAILS: Final = """
    def test_it(alg_lab):
        lab = alg_lab("semicolon-loss", agents=["server"])
        lab.run("phone", ["sh", "-c", "echo some words; exit 5"])
        trial = alg_lab.trial("blind-ip-replace", "register")
        assert trial.outcome == "pass"


    def test_passes(alg_lab):
        alg_lab.trial("none", "register")
    """


def written(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.rglob("*") if each.is_file())


FILES: Final = [
    f"{name}{ending}"
    for name in ("1-home_semicolon-loss", "2-blind-ip-replace_register_seed1")
    for ending in (".html", ".pcapng", ".trace.jsonl")
]


@pytest.mark.needs("emulated")
def test_the_report_of_a_failed_test(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(FAILS)
    result = run("--basetemp", "base")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "E*assert 'fail' == 'pass'*",
            "*- siplab 1: home, semicolon-loss: ladder and changes -*",
            "*- siplab 1: home, semicolon-loss: programs -*",
            "phone: */sh -c 'echo some words; exit 5': exit status 5, *",
            "  stdout: some words",
            "*- siplab 2: blind-ip-replace, register, seed1: ladder and changes -*",
            "*REGISTER*",
            "*before  Contact: <sip:alice@[[]-192.168.1.102-[]]*",
            "*after   Contact: <sip:alice@{+203.0.113.7+}*",
            "*- siplab 2: blind-ip-replace, register, seed1: files -*",
            "*base/test_it0/siplab/2-blind-ip-replace_register_seed1.pcapng",
        ]
    )
    assert written(pytester.path / "base") == FILES


@pytest.mark.needs("emulated")
def test_files_of_failed_tests_in_a_folder(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(test_files=FAILS)
    result = run("--siplab-out", "out/siplab", "-n", "2")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*- siplab 2: blind-ip-replace, register, seed1: files -*"])
    assert written(pytester.path / "out" / "siplab" / "test_files.py_test_it") == FILES
    assert len(written(pytester.path / "out")) == len(FILES)


RAISES: Final = """
    from dataclasses import dataclass

    from siplab.lab.gateway.alg import Card, Model, Recipe, Step


    @dataclass(frozen=True)
    class Raise(Step):
        def apply(self, message, context):
            raise RuntimeError("a model's mistake")


    MODEL = Model(id="raises", card=Card(summary="Raises."), recipe=Recipe(last=(Raise(),)))
    """


@pytest.mark.needs("emulated")
def test_a_model_that_raises_makes_lab_and_trial_void(pytester: pytest.Pytester, run: Run) -> None:
    broken = pytester.makepyfile(broken=RAISES)
    pytester.makepyfile(
        """
        import pytest
        from siplab.lab.worlds.base import WorldError

        def test_trial(alg_lab):
            with pytest.raises(WorldError, match="invalid: .*a model's mistake"):
                alg_lab.trial("raises", "register")

        def test_lab(alg_lab):
            lab = alg_lab("raises", agents=["server"])
            code = (
                "import socket;"
                "sock = socket.socket(type=socket.SOCK_DGRAM);"
                "sock.sendto(b'OPTIONS sip:a SIP/2.0', ('198.51.100.10', 5060))"
            )
            assert lab.run("phone", ["python3", "-c", code]).status == 0
        """
    )
    result = run("--siplab-model-path", str(broken))
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["siplab: the lab 'home, raises' is invalid: the model raised RuntimeError: a model's mistake"]
    )


# -- those who don't use it ----------------------------------------------------------------------------


def test_it_costs_nothing_to_those_who_do_not_use_it(pytester: pytest.Pytester, run: Run) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_it():
            assert "siplab.experiments.pytest_plugin" in sys.modules
            heavy = {"siplab.lab", "siplab.alg_models", "siplab.topologies", "pydantic", "yaml", "rich"}
            assert not heavy & set(sys.modules)
        """
    )
    run().assert_outcomes(passed=1)


def test_pytest_lists_what_there_is(run: Run) -> None:
    text = run("--markers", "--fixtures", here=True).stdout.str()
    assert "@pytest.mark.alg_models(*names): run the test once per router's ALG" in text
    assert "--siplab-world" in run("--help", here=True).stdout.str()
