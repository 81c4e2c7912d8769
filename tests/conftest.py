"""What a test needs from the machine, in one place.

``@pytest.mark.needs("emulated", "sipp")``: without namespaces or without SIPp the test is skipped, and the
reason says what is missing. With ``CI=true`` in the environment, each test that is skipped, for whatever
reason, fails instead: there, a skipped test could be mistaken for a tested feature. No test needs anything
that an ordinary Linux kernel may lack (netem, nft queue, Open vSwitch), so there are no exceptions.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import pytest

from siplab.experiments.programs import kinds
from siplab.experiments.trial import worker
from siplab.lab.worlds.emulated import capability
from siplab.lab.worlds.emulated.bubble import Bubble
from tests import grid
from tools import trials

ROOT: Final = Path(__file__).resolve().parent.parent
# A bubble imports its task by name, so the root must be on the path even if test modules do not need it.
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# Programs that only tests need, with their Debian packages if those have other names.
_PACKAGES: Final = {
    "node": "nodejs",
    **{need.program: need.package for kind in kinds.shipped().values() for need in kind.needs},
}

NOBODY: Final = 65534
_SETPRIV: Final = ("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups")
_PROBE: Final = """
import os, sys, siplab, tests.lab.worlds.inside, siplab.experiments.commands.cli
from siplab.lab.worlds.emulated.capability import obstacle
# Another installation that this user can reach is not the one under test.
assert siplab.__file__ == os.path.join(sys.argv[1], "siplab", "__init__.py"), siplab.__file__
print("reached", obstacle() or "")
"""


# -- capabilities ----------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*names): what the machine must have: emulated, kernel-alg, sipp, tshark"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            reason = lacking(name)
            if reason is not None:
                missing(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """On a machine that must have everything, report a skipped test as failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("CI") == "true":
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.longrepr = f"with CI=true nothing may be skipped. {reason}"
    return report


def missing(reason: str) -> NoReturn:
    """End the test: skipped for ``reason``, or failed on a machine that must have everything."""
    pytest.skip(reason)


@cache
def lacking(name: str) -> str | None:
    if name == "emulated":
        return capability.obstacle()
    if name == "docker":
        return _lacking_for_docker()
    if name == "kernel-alg":
        return capability.kernel_obstacle()
    if shutil.which(name) is None:
        package = {**capability.OPTIONAL_TOOLS, **_PACKAGES}.get(name, name)
        return f"no {name} here: apt-get install {package}"
    return None


def _lacking_for_docker() -> str | None:
    """What is missing for Docker: the tests start their own engine, and make an image of busybox."""
    if os.getuid() != 0:
        return "a container engine needs root"
    if find_spec("docker") is None:
        return "no Python package docker here: pip install 'siplab[docker]'"
    for program, package in (("dockerd", "docker.io"), ("busybox", "busybox-static")):
        if shutil.which(program) is None:
            return f"no {program} here: apt-get install {package}"
    return None


# -- trials ------------------------------------------------------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _played_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Share the results of trials between all tests, also those of other workers."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    grid.share(folder / "trials")
    trials.come_from(grid.result)


def pytest_collection_finish() -> None:
    """Trials leave cyclic garbage. Searching all imported objects for it would take a tenth of the time."""
    worker.prepare()


# -- the emulated world ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bubble() -> Iterator[Bubble]:
    """For tests that need 'emulated': ``bubble.call(function, *arguments)`` runs a function in the bubble."""
    with Bubble("tests.lab.worlds.inside:task") as made:
        yield made


# -- another user ------------------------------------------------------------------------------------


class OrdinaryUser(NamedTuple):
    """A user without privileges, and how to run this project's Python as that user."""

    prefix: tuple[str, ...]
    python: str
    project: str  # where that user finds this project
    packages: str  # where that user finds the packages that it depends on

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The whole command line for Python's ``arguments``."""
        return [*self.prefix, self.python, *arguments]

    def environment(self, **extra: str) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": "/",
            "PYTHONPATH": os.pathsep.join((self.project, self.packages)),
            "PYTHONDONTWRITEBYTECODE": "1",
            **extra,
        }

    def run(self, arguments: Sequence[str], **extra: str) -> subprocess.CompletedProcess[str]:
        """Run Python with ``arguments`` and what ``extra`` adds to the environment."""
        return subprocess.run(
            self.command(arguments),
            env=self.environment(**extra),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="session")
def ordinary_user() -> OrdinaryUser:
    """A user who can read the project and its Python, wherever they are, and may make a bubble."""
    found, reason = _ordinary_user()
    if found is None:
        missing(reason)
    return found


@cache
def _ordinary_user() -> tuple[OrdinaryUser | None, str]:
    reason = "no way to run this project as an ordinary user"
    for candidate in ways_to_be_ordinary():
        try:
            done = candidate.run(["-c", _PROBE, candidate.project])
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = f"as an ordinary user: {error}"
            continue
        if done.returncode == 0 and done.stdout.startswith("reached"):
            obstacle = done.stdout.removeprefix("reached").strip()
            return (None, f"as an ordinary user: {obstacle}") if obstacle else (candidate, "")
        reason = "as an ordinary user: " + (done.stderr.strip().splitlines() or ["no answer"])[-1]
    return None, reason


def ways_to_be_ordinary() -> Iterator[OrdinaryUser]:
    packages = sysconfig.get_path("purelib")
    if os.getuid() != 0:
        yield OrdinaryUser((), sys.executable, str(ROOT), packages)
        return
    yield OrdinaryUser(_SETPRIV, sys.executable, str(ROOT), packages)
    # If only root can read the checkout or the interpreter: mount both in another place, in a mount
    # namespace that ends with the program.
    places = {"/mnt/project": str(ROOT), "/mnt/python": sys.prefix, "/mnt/packages": packages}
    script = ["mount -t tmpfs -o mode=755 tmpfs /mnt"]
    script += [
        f"mkdir {place} && mount --bind {shlex.quote(source)} {place}" for place, source in places.items()
    ]
    prefix = ("unshare", "--mount", "sh", "-c", " && ".join([*script, 'exec "$@"']), "sh", *_SETPRIV)
    for python in (
        f"/mnt/python/bin/python{sys.version_info.major}",
        f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}",
    ):
        yield OrdinaryUser(prefix, python, "/mnt/project", "/mnt/packages")
