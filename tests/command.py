"""Running the command ``siplab`` as users do, also without one of the machine's programs."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest import mock

# Imported here, before any test sets COLUMNS: a console keeps the width with which it is made.
from siplab.__main__ import main
from siplab.experiments.commands import cli  # noqa: F401
from tests.conftest import ROOT

Done = subprocess.CompletedProcess[str]


def siplab(*arguments: str, process: bool = False, **environment: str) -> Done:
    """Run the command at the root of the project; ``environment``: additional variables.

    It runs in this process, which saves a second of imports each time. With ``process`` it runs in its own
    process, for tests of signals or encodings. So do ``exec``, whose program writes to the real standard
    output, and a run with another PATH, since a process looks up the machine's programs only once. The output
    does not go to a terminal, so it is plain text of 120 columns.
    """
    environment = {"COLUMNS": "120", **environment}
    if process or "PATH" in environment or arguments[:1] == ("exec",):
        return subprocess.run(
            [sys.executable, "-m", "siplab", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(sys, "argv", ["siplab", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
        chdir(ROOT),
    ):
        status = _status()
    return subprocess.CompletedProcess(["siplab", *arguments], status, out.getvalue(), err.getvalue())


def interrupted(*arguments: str) -> tuple[int, str]:
    """Run the command in a process group of its own, and press Ctrl-C as soon as it has printed ``begun``.

    Returns its exit status and its standard error.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "siplab", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
        return process.returncode, said
    finally:
        process.kill()
        process.communicate()


def _status() -> int:
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
            return 1
        return end.code or 0
    return 0


def one_line_error(done: Done, *words: str) -> None:
    """Check the result of bad input: exit status 2 and one clear line, no traceback."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], (word, lines[0])


def path_without(program: str, folder: Path) -> str:
    """A PATH, made in ``folder``, with all programs of this machine except one."""
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        with suppress(OSError):  # the folder does not exist, or this user may not read it
            for each in Path(place).iterdir():
                link = folder / each.name
                if each.name != program and not link.is_symlink():
                    link.symlink_to(each)
    return str(folder)
