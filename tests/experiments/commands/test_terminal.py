"""What reaches a terminal: plain text that fits it, and nothing that would do something to it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from siplab.experiments.output import console
from siplab.experiments.output.console import PlainConsole, grid
from tests.command import siplab

ROOT = Path(__file__).parents[3]
LISTS = (
    "models", "vendors", "topologies", "scenarios", "detectors", "mitigations", "phones", "servers",
    "experiments", "case",
)  # fmt: skip
# Every list, and every card, each begun by a line of its own; in a terminal at each of the widths.
_SCRIPT = """
import fcntl, struct, sys, termios
from siplab.experiments.commands import cli
from siplab import topologies
from siplab.alg_models import vendors
from siplab.experiments.library import experiment
from siplab.experiments.trial import registry, run

ids = {
    "models": [each.id for each in run.models()], "vendors": vendors.available(),
    "topologies": topologies.available(), "experiments": experiment.available(),
    **{kind: [each.id for each in getattr(registry, kind)()]
       for kind in ("scenarios", "detectors", "mitigations", "phones", "servers")},
}
pages = [words for kind in sys.argv[1].split(",")
         for words in ([kind], *([kind, "show", each] for each in ids.get(kind, ())))]
for width in map(int, sys.argv[2:] or ["0"]):
    if width:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
    for words in pages:
        print("\\n@@", width, *words, flush=True)
        sys.argv = ["siplab", *words]
        try:
            cli.main()
        except SystemExit as end:
            assert not end.code, (words, end.code)
"""


def in_terminal(*arguments: str) -> str:
    """What a program writes to a terminal."""
    import pty

    master, slave = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    program = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**environment, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    written = bytearray()
    with open(master, "rb", buffering=0) as reader:  # noqa: PTH123 - a descriptor
        try:
            while data := reader.read(65536):
                written += data
        except OSError:  # the other end is gone
            pass
    assert program.wait() == 0, written[-2000:].decode("utf-8", "replace")
    return re.sub(r"\x1b\[[\d;]*m", "", written.decode()).replace("\r\n", "\n")


# What is copied, and the bytes of the wire: on one line, however long.
_EXACT = re.compile(r"siplab |https?://|^ *[-+<] |^ +\d+\. |to see its state: |^ *\S+$")


@pytest.mark.skipif(sys.platform == "win32", reason="it has no pseudo-terminals")
def test_lists_and_cards_fit_the_terminal() -> None:
    shown = in_terminal("-c", _SCRIPT, ",".join(LISTS), "80", "140")
    found = [page.partition("\n") for page in shown.split("\n@@ ")[1:]]
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    for columns in (80, 140):
        _fit(
            {head.split(maxsplit=1)[1]: page for head, _, page in found if head.startswith(f"{columns} ")},
            columns,
        )


def _fit(pages: dict[str, str], columns: int) -> None:
    assert len(pages) > 200
    for title, page in pages.items():
        for line in page.splitlines():
            assert len(line) <= columns or _EXACT.search(line), (title, line)
    for title in pages:
        if " show " in title:
            kind, _, identifier = title.partition(" show ")
            assert re.search(rf"(^|\s){re.escape(identifier)}(\s|$)", pages[kind], re.MULTILINE), title
    assert ("┌" in pages["topologies show double-nat"]) is (columns == 140)
    assert re.search(r"^ +siplab call .*  # .* fails$", pages["models show pinhole-hijack"], re.MULTILINE)


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_an_output_that_can_show_less(encoding: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, "topologies,case"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "140"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode(encoding)
    assert "+--" in text
    assert "double-nat" in text


# -- nothing is markup, nothing is a control -------------------------------------------------------------


def printed(thing: Any, **options: Any) -> str:
    file = io.StringIO()
    PlainConsole(file=file, width=60, **options).print(thing)
    return file.getvalue()


@pytest.mark.parametrize("text", ["pip install 'siplab[emulated]'", "so [/end] it is", "[bold]x[/] :smile:"])
def test_no_text_is_markup(text: str) -> None:
    assert printed(text) == f"{text}\n"
    assert text in printed(grid(("[/x]", text), [("[/x]", text)], 60))


def test_controls_are_shown_and_not_sent() -> None:
    hostile = "a\x1b[2Jb\x9bc\u202ed\x07"
    for thing in (hostile, grid(("x",), [(hostile,)], 60)):
        shown = printed(thing, force_terminal=True, color_system="standard")
        assert not set("\x9b\u202e\x07") & set(shown)
        assert "\x1b[2J" not in shown
        assert "\\x1b[2Jb\\x9bc" in shown


def test_controls_in_data_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"a": "\x9b\u202e\x1b"})
    assert capsys.readouterr().out == '{\n  "a": "\\u009b\\u202e\\u001b"\n}\n'


def test_a_summary_with_brackets_is_no_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from siplab.experiments.commands.run import Settings, play

    file = tmp_path / "odd.yaml"
    file.write_text(
        "id: odd\nsummary: 'It says [/end] and [red].'\nworld: simulated\n"
        "models: [none]\nscenarios: [register]\n"
    )
    play(str(file), Settings())
    assert "It says [/end] and [red]." in capsys.readouterr().out


# -- tables --------------------------------------------------------------------------------------------


def test_a_word_in_a_table_is_never_broken() -> None:
    rows = [("a-rather-long-identifier", "words that can be folded where the room for them is small")] * 2
    for width in range(30, 90, 7):
        file = io.StringIO()
        PlainConsole(file=file, width=width).print(grid(("id", "summary"), rows, width))
        shown = file.getvalue()
        assert max(map(len, shown.splitlines())) <= width
        words = set(" ".join(rows[0]).split())
        assert words <= set(shown.replace("summary:", "").split()), (width, shown)


def test_where_words_do_not_fit_there_is_a_list() -> None:
    shown = printed(grid(("id", "first", "second"), [("x", "y" * 30, "z" * 30)], 60))
    assert shown.splitlines() == ["x", f"  first: {'y' * 30}", f"  second: {'z' * 30}"]


def test_commands_in_a_text_stay_whole() -> None:
    command = "`siplab call --model semicolon-loss --scenario register`"
    lines = console.folded(f"One two three four five {command} six", 40)
    assert sum(command in line for line in lines) == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_traceback(tmp_path: Path, closed: str) -> None:
    """What is written then has no number of a stream, into which others might print."""
    file = tmp_path / "out.json"
    call = "call --model none --scenario register --world simulated --report"
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m siplab {call} "$1" {closed}', sys.executable, str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_text().startswith("<!doctype html>")


def test_a_width_that_is_not_known_is_no_width_of_nothing() -> None:
    done = siplab("phones", process=True, COLUMNS="0")
    assert done.returncode == 0
    assert "desk" in done.stdout


def test_a_name_with_a_line_end_is_told_in_one_line() -> None:
    done = siplab("run", "a\nsiplab: all is well.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "siplab: a\\nsiplab: all is well.yaml: no such file\n"
