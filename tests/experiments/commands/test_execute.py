"""`siplab exec`: a program in the foreground of a lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

PATIENCE = 60.0


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    ("program", "status"),
    [("trap 'exit 7' INT; echo begun; while :; do sleep 0.1; done", 7), ("echo begun; exec sleep 60", 130)],
)
def test_ctrl_c_is_the_programs_from_its_first_moment(program: str, status: int) -> None:
    """A program that is asked to end at its first output, before the lab began to wait for it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "siplab", "exec", "phone", "--", "sh", "-c", program],
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
        _, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, said) == (status, "")
    finally:
        process.kill()
        process.communicate()
