"""A real telephone in the lab: a card is lent, and is what it was when the lab has ended, however it ended.

The machine is played by a network namespace of its own; the one of who runs the test is never touched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from siplab.lab.worlds.emulated.guardian import Card
from tests.command import siplab

OUTER = Path(__file__).with_name("outer.py")


@pytest.mark.needs("emulated", "unshare", "nsenter")
@pytest.mark.skipif(os.getuid() != 0, reason="only root may lend a network card")
@pytest.mark.parametrize("victim", ["down", "command", "bubble"])
def test_a_telephone_on_a_lent_card(tmp_path: Path, victim: str) -> None:
    done = subprocess.run(
        ["unshare", "--net", sys.executable, str(OUTER), str(tmp_path), victim],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["during"] is None, "the card has left this machine"
    assert seen["answer"] == "200", "the telephone reaches the lab's server through the lab's router"
    assert seen["before"]["addresses"] == ["10.9.0.2/24", "10.9.1.2/24"]
    assert any("10.77.0.0/16 via 10.9.0.1" in each for each in seen["before"]["routes"])
    assert seen["after"] == seen["before"], seen["said"]
    assert "card0 (10.9.0.2/24, 10.9.1.2/24, 1 route) leaves this machine" in seen["said"]


@pytest.mark.needs("emulated")
@pytest.mark.skipif(os.getuid() != 0, reason="only root may lend a network card")
@pytest.mark.parametrize(
    ("interface", "complaint"),
    [("lo", "'lo' is this machine's loopback"), ("nothing9", "has no interface 'nothing9'")],
)
def test_what_cannot_be_lent(interface: str, complaint: str) -> None:
    done = siplab("up", "--attach", interface, "--yes", "--name", f"refused-{os.getpid()}")
    assert done.returncode == 2
    assert complaint in done.stderr


def test_who_lends_the_way_to_the_internet_is_told() -> None:
    card = Card("eth0", 1500, True, ("192.0.2.5/24",), ("default via 192.0.2.1",))
    assert "WAY TO THE INTERNET" in card.told()
    assert "WAY TO THE INTERNET" not in Card("eth1", 1500, True, (), ("10.0.0.0/8 via 10.1.1.1",)).told()
