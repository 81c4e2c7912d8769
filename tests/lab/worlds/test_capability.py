"""If a machine lacks something, one line says so, with the fix; and how these tests handle it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from siplab.lab.worlds.emulated import capability, fabric, tools
from tests import conftest
from tests.command import path_without, siplab


@pytest.mark.needs("emulated")
@pytest.mark.parametrize(("tool", "package"), fabric.TOOLS.items())
def test_a_machine_without_a_tool(tool: str, package: str, tmp_path: Path) -> None:
    done = without_system_folders(
        *("call", "--model", "none", "--scenario", "register", "--world", "emulated"),
        path=path_without(tool, tmp_path),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"siplab: no emulated world here: {tool}: apt-get install {package}\n"


def without_system_folders(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    """Run the command on a machine whose programs are all in ``path``."""
    code = (
        "import sys; from siplab.lab.worlds.emulated import tools; tools.SYSTEM_FOLDERS = (); "
        "from siplab.experiments.commands.start import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(conftest.ROOT), "COLUMNS": "120"},
        cwd=conftest.ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.needs("emulated")
def test_programs_of_administrators_are_found_with_an_ordinary_users_path(tmp_path: Path) -> None:
    """An ordinary user's PATH in Debian has no ``sbin``, but the programs there can be run all the same."""
    for name in ("mnexec", "ifconfig", "python3"):
        found = tools.find(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    path = os.pathsep.join([str(tmp_path), "/usr/bin"])
    done = siplab("call", "--model", "none", "--scenario", "register", "--world", "emulated", PATH=path)
    assert (done.returncode, done.stderr.count("no emulated world")) == (0, 0), done.stderr
    rows = {row["name"]: row for row in json.loads(siplab("doctor", "--json", PATH=path).stdout)}
    for name in ("ip", "iptables-nft-restore"):
        assert rows[name]["present"] is True


@pytest.mark.needs("emulated")
def test_doctor_names_what_is_missing(tmp_path: Path) -> None:
    done = siplab("doctor", "--json", PATH=path_without("mnexec", tmp_path))
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["mnexec"]["present"] is False
    assert rows["mnexec"]["fix"] == "apt-get install mininet"
    assert rows["ip"]["present"] is True


@pytest.mark.needs("emulated")
def test_nothing_is_missing_where_the_emulated_world_runs() -> None:
    assert fabric.missing_tools() == []
    assert all(row.present for row in capability.abilities() if row.needed)
    assert capability.obstacle() is None


# -- these tests themselves ------------------------------------------------------------------------------


def test_what_is_missing_skips_a_test() -> None:
    with pytest.raises(pytest.skip.Exception, match="no namespaces"):
        conftest.missing("no namespaces")


def test_a_program_that_nobody_has_is_lacking() -> None:
    assert conftest.lacking("no-such-program") == "no no-such-program here: apt-get install no-such-program"


@pytest.mark.needs("emulated")
def test_every_way_to_be_an_ordinary_user_is_one() -> None:
    """Wherever the project and its Python are, one of these ways can read them."""
    found = []
    for user in conftest.ways_to_be_ordinary():
        done = user.run(["-c", "import os, lab; print(os.getuid(), lab.__file__)"])
        if done.returncode == 0:
            uid, file = done.stdout.split(maxsplit=1)
            assert int(uid) != 0
            assert Path(file.strip()).name == "__init__.py"
            found.append(user)
    assert found
