"""`siplab exec`: a program in the foreground of a lab."""

from __future__ import annotations

import pytest

from tests.command import interrupted


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(
    ("program", "status"),
    [("trap 'exit 7' INT; echo begun; while :; do sleep 0.1; done", 7), ("echo begun; exec sleep 60", 130)],
)
def test_ctrl_c_is_the_programs_from_its_first_moment(program: str, status: int) -> None:
    """A program that is asked to end at its first output, before the lab began to wait for it."""
    assert interrupted("exec", "phone", "--", "sh", "-c", program) == (status, "")
