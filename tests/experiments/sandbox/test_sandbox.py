"""The laboratory in a browser: what is in its file, and that it comes to the same as native Python."""

from __future__ import annotations

import base64
import io
import json
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest

from siplab.experiments import exercises
from siplab.experiments.sandbox import packing, parts, session
from siplab.experiments.sandbox.page import page
from siplab.experiments.trial import registry
from siplab.experiments.trial import run as trial
from siplab.lab.errors import CapabilityError
from tests.browsing import BROWSER, found_by, keep_pictures
from tests.conftest import missing

PROGRAMS: Final = {"chromium": "chromium", "firefox": "firefox-esr"}
EVERYWHERE: Final = (
    "a link runs its trial",
    "results and traces are those of native Python",
    "another trial is chosen and run",
    "what needs cryptography is grey, and says so",
    "a model of one's own is run, and its faults are one line",
    "an exercise names no router before the answer",
    "the same address is the same exercise, another seed another",
    "hints, a wrong answer, the right one, and its tick",
)
CHROMIUM: Final = (
    "what never ends can be stopped",
    "a hostile link is text",
    "the keyboard alone reaches everything",
    "axe finds nothing serious: light",
    "axe finds nothing serious: dark",
    "reads well at 390 px",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page."""
    try:
        text = page(parts.fetch())
    except CapabilityError as error:
        missing(str(error))
    file = tmp_path_factory.mktemp("sandbox") / "sandbox.html"
    file.write_text(text, encoding="utf-8")
    return file


def drawn(count: int) -> list[dict[str, Any]]:
    """Trials, drawn by seed: each scenario that a browser can run once, before any is there twice."""
    draw = random.Random(13)
    scenarios = [each.id for each in registry.scenarios() if each.id != "srtp-call"]
    draw.shuffle(scenarios)
    models = [each.id for each in trial.models().runnable()]
    servers = ["", *(each.id for each in registry.servers())]
    return [
        {
            "model": draw.choice(models),
            "scenario": scenarios[number % len(scenarios)],
            "topology": draw.choice(["home", "home", "lossy", "nat-symmetric"]),
            "server": draw.choice(servers),
            "seed": draw.randrange(1000),
        }
        for number in range(count)
    ]


def answered(**asked: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(session.answer(json.dumps(asked)))
    return found


def archive(page_text: str) -> zipfile.ZipFile:
    """The Python files in a page."""
    packed = page_text.partition('id="site">')[2].partition("<")[0]
    return zipfile.ZipFile(io.BytesIO(base64.b64decode(packed)))


def driven(
    browser: str, script: str, made: Path, folder: Path, expected: dict[str, object]
) -> dict[str, object]:
    """What a script of ``tests/browser`` finds in a page that it uses in a browser."""
    for program in ("node", PROGRAMS[browser]):
        if shutil.which(program) is None:
            missing(f"no {program}; tools/setup.sh test installs it")
    if not (BROWSER / "node_modules" / "puppeteer-core").is_dir():
        missing("no puppeteer-core in tests/browser; tools/setup.sh test installs it")
    shutil.copy(made, folder / "sandbox.html")
    (folder / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    found: dict[str, object] = found_by(script, browser, folder, timeout=1200)
    keep_pictures(folder)
    return found


def used(browser: str, made: Path, folder: Path, trials: int) -> dict[str, object]:
    """What ``sandbox.mjs`` finds in a browser."""
    digests = [(each, answered(ask="digest", asked=each)["digest"]) for each in drawn(trials)]
    exercise = exercises.get("never-registered")
    expected: dict[str, object] = {
        "exercise": {
            "id": "never-registered",
            "model": exercise.trial.model,
            "scenario": exercise.trial.scenario,
            "right": exercise.causes.right,
            "wrong": exercise.causes.wrong[0],
            "cure": exercise.remedies.cure,
        },
        "link": "#model=sdp-c-only&scenario=outgoing-call&server=hosted%28latch%3Duntrusted%29",
        "title": "outgoing-call through sdp-c-only",
        "digests": digests,
    }
    return driven(browser, "sandbox.mjs", made, folder, expected)


@pytest.mark.parametrize("browser", PROGRAMS)
def test_in_a_browser(browser: str, made: Path, tmp_path: Path) -> None:
    found = used(browser, made, tmp_path, trials=6)
    assert {name: what for name, what in found.items() if what is not True} == {}
    assert list(found) == [
        *EVERYWHERE,
        *(CHROMIUM if browser == "chromium" else ()),
        "no errors, no requests",
    ]


@pytest.mark.deep
def test_sixty_trials_are_the_same_in_a_browser(made: Path, tmp_path: Path) -> None:
    found = used("chromium", made, tmp_path, trials=60)
    assert found["results and traces are those of native Python"] is True


def test_the_file_is_below_14_mb_and_the_same_each_time(made: Path) -> None:
    text = made.read_text(encoding="utf-8")
    assert len(text.encode()) < 14_000_000
    assert page(parts.fetch()) == text


def test_nothing_in_the_file_is_under_the_gpl(made: Path) -> None:
    """That is the build which reads captures: this one has no scapy, and says nothing of its licence."""
    text = made.read_text(encoding="utf-8")
    assert [each for each in archive(text).namelist() if each.startswith("scapy")] == []
    assert "GPL-2.0" not in text
    assert 'id="licence"' not in text


INSIDE: Final = """
import json, sys
sys.path[:0] = sys.argv[1:]
from siplab.experiments.sandbox.session import answer
for request in ({"ask": "choices"}, {"ask": "run", "whole": True, "asked":
        {"model": "sdp-c-only", "scenario": "outgoing-call", "server": "strict-addresses"}}):
    found = json.loads(answer(json.dumps(request)))
    assert "error" not in found, found
import siplab
print(json.dumps([siplab.__file__, sorted(sys.modules)]))
"""


def test_what_the_sandbox_imports_needs_no_terminal_and_no_emulated_world(tmp_path: Path) -> None:
    """The packed project alone, without the folders that stay behind, runs a trial with its remedies."""
    zipfile.ZipFile(io.BytesIO(packing.packed(()))).extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", INSIDE, tmp_path], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    home, modules = json.loads(done.stdout)
    assert Path(home).is_relative_to(tmp_path)
    packages = {each.partition(".")[0] for each in modules}
    assert packages.isdisjoint(
        {"typer", "click", "mininet", "scapy", "netfilterqueue", "docker", "cryptography"}
    )
    rooms = [each.replace("/", ".") for each in packing.LEFT_OUT]
    assert [each for each in modules if any(f"siplab.{room}" in each for room in rooms)] == []


def test_choices_say_what_is_there_and_what_can_not_be() -> None:
    found = answered(ask="choices")
    assert {"semicolon-loss", "none"} <= {each["id"] for each in found["model"]}
    unknown = [each for each in found["model"] if each["lacking"]]
    assert unknown
    assert {each["group"] for each in unknown} == {"vendors"}
    assert {each["id"] for each in found["scenario"]} == {each.id for each in registry.scenarios()}


def test_the_model_that_the_editor_begins_with_fails_by_its_own_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # its text is written here
    source = answered(ask="choices")["own"]
    found = answered(ask="run", asked={"scenario": "register"}, source=source)["document"]
    assert [each["trial"]["outcome"] for each in found["variants"]] == ["fail", "pass"]
    assert found["variants"][0]["trial"]["changes"][0]["broken"]


def test_a_remedy_stands_beside_the_trial_without_it() -> None:
    asked = {"model": "semicolon-loss", "scenario": "register", "mitigations": ["pseudo-tls"]}
    found = answered(ask="run", asked=asked)["document"]
    assert [(each["name"], each["trial"]["outcome"]) for each in found["variants"]] == [
        ("ALG on", "fail"),
        ("ALG off", "pass"),
        ("pseudo-tls", "pass"),
    ]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"model": "no-such", "scenario": "register"}, "no-such"),
        ({"model": "none", "scenario": "no-such"}, "no-such"),
        ({"model": "none", "scenario": "register", "topology": "/etc/passwd"}, "/etc/passwd"),
        ({"model": "none", "scenario": "register", "seed": "x"}, "seed"),
        ({"model": "none", "scenario": "register", "seed": -1}, "seed"),
        ({"model": "none", "scenario": ""}, "scenario"),
        ({"model": "none", "scenario": "register", "phone": "program:baresip"}, "emulated"),
        ({"model": "none", "scenario": "register", "mitigations": ["no-such"]}, "no-such"),
    ],
)
def test_a_link_that_names_what_is_not_there_is_one_line(asked: dict[str, Any], said: str) -> None:
    error = answered(ask="run", asked=asked)["error"]
    assert said in error
    assert "\n" not in error


def test_without_npm_or_a_network_it_says_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CapabilityError, match="npm is needed"):
        parts.fetch(tmp_path)
    monkeypatch.undo()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network: it is not there' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityError) as caught:
        parts.fetch(tmp_path / "cache")
    assert "network: it is not there" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_download_that_is_not_the_pinned_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pinned in (parts.lock()["pyodide"], *parts.lock()["wheels"]):
        (tmp_path / pinned["file"]).write_bytes(b"something else")
    monkeypatch.setattr(parts, "_npm", lambda pin, folder: None)
    monkeypatch.setattr(parts, "_pip", lambda pins, folder: None)
    with pytest.raises(CapabilityError, match="not the file that is pinned"):
        parts.fetch(tmp_path)
