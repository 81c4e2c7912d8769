"""The inputs that fuzzing has stored, and some new ones; ``make fuzz`` looks for more."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_shapes import watchdog
from tools.fuzz import CORPUS
from tools.fuzz_targets import TARGETS, mutated

KEPT = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


def test_every_kept_input_belongs_to_a_target() -> None:
    assert {path.parent.name for path in KEPT} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_kept_inputs(target: str) -> None:
    for path in (each for each in KEPT if each.parent.name == target):
        with watchdog(str(path)):
            TARGETS[target].run(path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=300, deadline=None)
@given(given_=st.binary(max_size=300) | st.integers(0, 2**32))
def test_new_inputs(target: str, given_: bytes | int) -> None:
    """Any bytes, or a damaged valid input."""
    TARGETS[target].run(given_ if isinstance(given_, bytes) else mutated(target, random.Random(given_)))
