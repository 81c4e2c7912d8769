"""The sandbox that reads captures: its file and licence, and that it says what ``siplab diagnose`` says."""

from __future__ import annotations

import base64
import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from siplab.experiments.sandbox import packing, parts, session
from siplab.lab.errors import CapabilityError
from tests.command import siplab
from tests.conftest import ROOT, missing
from tests.experiments.diagnosis.test_diagnose import captured
from tests.experiments.sandbox.test_sandbox import archive, driven

CUT: Final = ROOT / "tests" / "data" / "captures" / "41-cut-in-second-packet.pcap"
NO_CAPTURE: Final = b"no capture at all"
EVERYWHERE: Final = (
    "two captures, dropped after another, get the words of siplab diagnose",
    "names of files are text",
    "one capture, chosen, gets them too",
    "what is no capture is one line",
    "a capture that is too large, and too many, are one line",
    "the licence is on the page, with its text",
)
ALONE: Final = {
    "chromium": (
        "the keyboard alone reaches everything",
        "axe finds nothing serious",
        "reads well at 390 px",
    ),
    "firefox": ("a diagnosis can be stopped, and another asked for",),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, as the command makes it."""
    try:
        parts.fetch(captures=True)
    except CapabilityError as error:
        missing(str(error))
    file = tmp_path_factory.mktemp("sandbox") / "sandbox.html"
    done = siplab("sandbox", str(file), "--captures")
    assert done.returncode == 0, done.stderr
    assert "GPL-2.0-only" in done.stderr
    return file


@pytest.fixture(autouse=True)
def as_in_the_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Captures are written where Python stands, and there is no TLS."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "trustme", None)


def diagnosed(*files: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(session.answer('{"ask": "diagnose"}', files))
    return found


def said(*paths: Path) -> dict[str, Any]:
    """What the command says of files."""
    data = json.loads(siplab("diagnose", *map(str, paths), "--json").stdout)
    return {name: data[name] for name in ("verdict", "sentences", "left_out")}


def two_sides(folder: Path) -> tuple[Path, Path]:
    """Captures of an exchange that a router breaks, under the names that the sandbox gives them."""
    sides = folder / "sides"
    sides.mkdir()
    inside, outside = captured("semicolon-loss", "register", sides)
    return Path(inside).rename(sides / "capture-1"), Path(outside).rename(sides / "capture-2")


def given(browser: str, made: Path, folder: Path) -> dict[str, object]:
    """What ``captures.mjs`` finds in a browser."""
    both = two_sides(folder)
    (folder / "cut").mkdir()
    one = folder / "cut" / "capture-1"
    shutil.copy(CUT, one)
    expected = {
        "both": {"files": ["sides/capture-1", "sides/capture-2"], **said(*both)},
        "one": {"files": ["cut/capture-1"], **said(one)},
        "fault": diagnosed(NO_CAPTURE)["error"],
        "most": session.MOST_BYTES,
    }
    return driven(browser, "captures.mjs", made, folder, expected)


@pytest.mark.parametrize("browser", ["chromium", pytest.param("firefox", marks=pytest.mark.deep)])
def test_in_a_browser(browser: str, made: Path, tmp_path: Path) -> None:
    found = given(browser, made, tmp_path)
    assert {name: what for name, what in found.items() if what is not True} == {}
    assert list(found) == [*EVERYWHERE, *ALONE[browser], "no errors, no requests"]


def test_the_file_has_scapy_and_its_licence_and_is_the_same_each_time(made: Path) -> None:
    text = made.read_text(encoding="utf-8")
    assert len(text.encode()) < 15_500_000
    assert text.count("SPDX-License-Identifier: GPL-2.0-only") == 1
    assert "TERMS AND CONDITIONS FOR COPYING, DISTRIBUTION AND MODIFICATION" in text
    needed = parts.fetch(captures=True)
    again = packing.packed([*needed.wheels, *needed.captures])
    assert base64.b64encode(again).decode() in text
    names = archive(text).namelist()
    (pinned,) = parts.lock()["captures"]
    assert {"scapy/utils.py", f"scapy-{pinned['version']}.dist-info/licenses/LICENSE"} <= set(names)


def test_captures_are_diagnosed_in_the_words_of_the_command(tmp_path: Path) -> None:
    both = two_sides(tmp_path)
    expected = said(*both)
    assert diagnosed(*(each.read_bytes() for each in both)) == expected
    assert "It behaves as the model 'semicolon-loss'." in expected["sentences"]
    assert "Not tried, for a package is not installed: tls." in expected["sentences"]
    assert expected["verdict"] == "alg"


def test_what_of_a_capture_is_left_out_is_said(tmp_path: Path) -> None:
    (line,) = diagnosed(CUT.read_bytes())["left_out"]
    assert line.startswith("capture-1: left out:")


@pytest.mark.parametrize(
    ("files", "about"),
    [
        ([NO_CAPTURE], "capture-1"),
        ([b""], "capture-1"),
        ([b"{}"], "capture-1"),
        ([CUT.read_bytes(), b"\x1f\x8b"], "capture-2"),
        ([b"{}", b"{}"], "pair file"),
        ([NO_CAPTURE] * 3, "one capture, or two"),
    ],
)
def test_bad_files_are_one_line_and_leave_nothing(files: list[bytes], about: str, tmp_path: Path) -> None:
    error = diagnosed(*files)["error"]
    assert about in error
    assert "\n" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_capture_that_memory_does_not_hold_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise MemoryError

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "more memory than a browser gives" in diagnosed(NO_CAPTURE)["error"]


def test_a_wheel_that_is_not_the_pinned_one_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = parts.lock()["captures"]
    asked: list[str] = []
    monkeypatch.setattr(parts, "npm_package", lambda pin, folder: tmp_path / pin["file"])
    monkeypatch.setattr(parts, "_pip", lambda wanted, folder: asked.extend(each["name"] for each in wanted))
    monkeypatch.setitem(parts.lock(), "wheels", [])
    (tmp_path / pins[0]["file"]).write_bytes(b"something else")
    with pytest.raises(CapabilityError, match=r"scapy.*not the file that is pinned"):
        parts.fetch(tmp_path, captures=True)
    assert asked == ["scapy"]
