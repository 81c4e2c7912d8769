"""The bubble: whichever process dies first, nothing is left, and the machine's network is not touched."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from siplab.experiments.trial import runner
from siplab.experiments.trial.processes import side_by_side
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import CapabilityError
from siplab.lab.worlds.emulated.bubble import OTHERWISE, Bubble
from tests import grid
from tests.conftest import ROOT, OrdinaryUser, missing
from tests.lab.worlds import inside, processes
from tests.lab.worlds.players import NETWORKS
from tests.lab.worlds.processes import Process

pytestmark = pytest.mark.needs("emulated")


# -- the machine's own network -----------------------------------------------------------------------


# Dates, counters of rules, lifetimes of addresses and routes.
_MOVES_BY_ITSELF = re.compile(
    r"^#.*$|\[\d+:\d+\]|packets \d+ bytes \d+|(valid_lft|preferred_lft|expires) \S+", re.M
)


def _host_network() -> dict[str, str]:
    """Settings, interfaces, addresses, routes and rules of the network that this test runs in."""
    names = ("ipv4/ip_forward", "ipv4/conf/all/rp_filter", "ipv4/icmp_ratemask", "ipv6/conf/all/forwarding")
    paths = [Path("/proc/sys/net") / name for name in (*names, "core/rmem_max", "core/wmem_max")]
    paths += [Path("/proc/sys/net/core/netdev_max_backlog"), Path("/proc/sys/fs/file-max")]
    found = {str(path): path.read_text() for path in paths if path.exists()}
    found["interfaces"] = "\n".join(sorted(each.name for each in Path("/sys/class/net").iterdir()))
    commands = ["ip -oneline address", "ip route show table all", "ip neigh show nud permanent", "ip netns"]
    commands += ["iptables-save", "ip6tables-save", "iptables-nft-save", "nft list ruleset"]
    for command in commands:
        program, *arguments = command.split()
        path = shutil.which(program)
        if path is not None:
            done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
            found[command] = _MOVES_BY_ITSELF.sub("", done.stdout)
    return found


# -- killing -----------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """A running program with labs in it."""

    program: subprocess.Popen[str]
    keeper: Process  # the program itself, behind whatever started it
    waiters: list[Process]
    marker: str

    def firsts(self) -> list[Process]:
        """Process 1 of each lab."""
        return [processes.children(waiter.pid)[0] for waiter in self.waiters]


Keep = Callable[..., Iterator[Kept]]


# Root, as a rule, and an ordinary user. If the tests run as an ordinary user, only that one is possible.
@pytest.fixture(params=["as it is", *(["ordinary user"] if os.getuid() == 0 else [])])
def user(request: pytest.FixtureRequest) -> OrdinaryUser:
    """The user who runs the lab: the one who runs the tests (often root), or an ordinary user."""
    if request.param == "as it is":
        return OrdinaryUser((), sys.executable, str(ROOT), sysconfig.get_path("purelib"))
    chosen: OrdinaryUser = request.getfixturevalue("ordinary_user")
    return chosen


@contextmanager
def keeping(user: OrdinaryUser, number: int = 1) -> Iterator[Kept]:
    """Start a program that keeps labs, with programs on every host."""
    marker = f"siplab-test-{uuid.uuid4().hex}"
    program = subprocess.Popen(
        user.command(["-m", "tests.lab.worlds.keeper", str(number)]),
        env=user.environment(SIPLAB_TEST_MARKER=marker),
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout is not None
        waiters = [processes.find(int(program.stdout.readline())) for _ in range(number)]
        assert program.stdout.readline() == "running\n"
        keeper = next(
            each
            for each in (processes.find(program.pid), *processes.descendants(program.pid))
            if waiters[0] in processes.children(each.pid)
        )
        yield Kept(program, keeper, waiters, marker)
    finally:
        program.kill()
        program.communicate()


@pytest.mark.parametrize("victim", ["keeper", "waiter", "process 1"])
def test_sigkill_leaves_nothing_behind(victim: str, user: OrdinaryUser) -> None:
    before = _host_network()
    with keeping(user) as kept:
        (first,) = kept.firsts()
        everything = processes.descendants(kept.keeper.pid)
        below = [each for each in everything if each not in kept.waiters]
        # Process 1, and on each of 6 nodes a shell of Mininet's, a shell of ours and two programs.
        assert len(below) >= 1 + 6 * 4
        inner = processes.namespaces(below) - processes.namespaces([kept.keeper])
        if processes.namespaces([first]):  # empty if this user may not look
            assert len(inner) == 7  # the bubble's own, and one for each node
            assert inner <= processes.all_namespaces()
        marked = processes.marked(kept.marker)
        assert kept.keeper in marked
        assert len(marked) > 20 or os.getuid() != 0

        target = {"keeper": kept.keeper, "waiter": kept.waiters[0], "process 1": first}[victim]
        os.kill(target.pid, signal.SIGKILL)

        processes.until(lambda: not any(map(processes.alive, everything)), "every process of the lab is gone")
        processes.until(lambda: not inner & processes.all_namespaces(), "its namespaces are gone")
        if victim != "keeper":
            assert kept.program.stdout is not None
            assert kept.program.stdout.readline() == "ended\n"  # its parent notices
            assert kept.program.wait(processes.PATIENCE) == 0
        processes.until(lambda: not processes.marked(kept.marker), "nothing carries the marker any more")
    assert _host_network() == before


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_end_by_a_milder_signal_leaves_nothing_behind(kind: signal.Signals, user: OrdinaryUser) -> None:
    with keeping(user) as kept:
        everything = processes.descendants(kept.keeper.pid)
        os.kill(kept.keeper.pid, kind)
        processes.until(lambda: not any(map(processes.alive, everything)), "every process of the lab is gone")


def test_the_death_of_one_lab_is_nothing_to_another(user: OrdinaryUser) -> None:
    with keeping(user, 2) as kept:
        one, other = kept.firsts()
        doomed, spared = processes.descendants(one.pid), [other, *processes.descendants(other.pid)]
        assert not processes.namespaces([one, *doomed]) & processes.namespaces(spared)
        os.kill(one.pid, signal.SIGKILL)
        processes.until(lambda: not any(map(processes.alive, [one, *doomed])), "the first lab is gone")
        assert all(map(processes.alive, spared))


def test_a_bubble_that_is_closed_leaves_nothing_behind() -> None:
    before = _host_network()
    with Bubble("tests.lab.worlds.inside:task") as bubble:
        assert bubble.call(inside.exchange, "sizes").problems == []
        below = processes.descendants(bubble.pid)
        assert below
    processes.until(lambda: not any(map(processes.alive, below)), "every process of the lab is gone")
    assert _host_network() == before


# -- labs side by side -------------------------------------------------------------------------------


def test_two_labs_on_the_same_network_do_not_meet() -> None:
    """Same addresses, same ports, different models; their trials alternate and overlap."""
    specs = [TrialSpec("home", model, "outgoing-call") for model in ("none", "correct", "semicolon-loss")]
    expected = {spec: grid.played(spec).digest for spec in specs}
    assert len(set(expected.values())) == len(specs)
    with Bubble("tests.lab.worlds.inside:task") as one, Bubble("tests.lab.worlds.inside:task") as other:
        for turn in range(6):
            mine, theirs = specs[turn % 3], specs[(turn + 1) % 3]
            one.connection.send((inside.digest, mine))
            other.connection.send((inside.digest, theirs))
            assert one.result() == expected[mine]
            assert other.result() == expected[theirs]


def test_two_labs_in_one_bubble_do_not_meet(bubble: Bubble) -> None:
    names = ["two-homes", "double", "home", "chain"]
    exchanges = ["two homes", "double NAT", "sizes", "two routers in a row"]
    first = [bubble.call(inside.exchange, name) for name in exchanges]
    assert [bubble.call(inside.exchange, name) for name in exchanges] == first
    assert set(names) <= set(NETWORKS)


def test_many_trials_side_by_side() -> None:
    specs = [TrialSpec("home", "correct", "register", seed=seed) for seed in range(1, 21)]
    alone = [result.as_json() for result in runner.run_all(specs, world="emulated")]
    assert [result.as_json() for result in runner.run_all(specs, world="emulated", jobs=3)] == alone


# -- what is inside ----------------------------------------------------------------------------------


def test_the_bubble_has_no_way_out(bubble: Bubble) -> None:
    """Nothing of the machine's network is in there: no interface but its own loopback."""
    assert bubble.call(os.listdir, "/sys/class/net") == ["lo"]
    assert bubble.call(os.getpid) == 1


def test_an_error_in_the_task_is_raised_outside(bubble: Bubble) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        bubble.call(divmod, 1, 0)
    assert "Traceback" in raised.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Stubborn: can't be pickled"):
        bubble.call(inside.raise_stubbornly)
    assert bubble.call(divmod, 7, 2) == (3, 1)  # the bubble lives on


def test_a_task_that_dies_is_noticed() -> None:
    with Bubble("tests.lab.worlds.inside:task") as bubble, pytest.raises(EOFError):
        bubble.call(os._exit, 3)


def test_a_trial_whose_process_dies_is_void_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "deadly.py"
    path.write_text(
        "import os\n"
        "from dataclasses import dataclass\n"
        "from siplab.lab.gateway.alg import Card, Model, Recipe\n"
        "@dataclass(frozen=True)\n"
        "class Die:\n"
        "    def apply(self, message, context):\n"
        "        os._exit(9)\n"
        "MODEL = Model('deadly', Card('Kills its process.'), Recipe(last=(Die(),)))\n"
    )
    paths = (str(path),)
    specs = [
        TrialSpec("home", model, "register", model_paths=paths) for model in ("none", "deadly", "correct")
    ]
    results = runner.run_all(specs, world="emulated")
    assert [result.outcome for result in results] == ["pass", "error", "pass"]
    assert results[1].errors == ["the trial's process died (exit status 9)"]


def test_the_end_of_a_bubble_by_a_signal_is_known() -> None:
    with Bubble("tests.lab.worlds.inside:task") as bubble:
        os.kill(processes.children(bubble.pid)[0].pid, signal.SIGKILL)
        assert bubble.close(processes.PATIENCE) == "SIGKILL"


def test_a_stopped_waiter_still_says_how_the_bubble_ended() -> None:
    with Bubble("tests.lab.worlds.inside:task") as bubble:
        os.kill(bubble.pid, signal.SIGSTOP)
        os.kill(processes.children(bubble.pid)[0].pid, signal.SIGKILL)
        assert bubble.close(processes.PATIENCE) == "SIGKILL"


def test_the_end_of_a_lab_by_a_signal_is_one_line() -> None:
    """If a signal ends process 1, the command says so, with the exit status that a shell would have."""
    command = [sys.executable, "-m", "siplab", "exec", "phone", "--", "sh", "-c", "echo up; exec sleep 600"]
    program = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "up\n"
    # A process that examined the machine's capabilities may not have been waited for yet.
    (first,) = (each for child in processes.children(program.pid) for each in processes.children(child.pid))
    os.kill(first.pid, signal.SIGKILL)
    _, err = program.communicate(timeout=processes.PATIENCE)
    assert (program.returncode, err) == (
        137,
        "siplab: the lab was ended by SIGKILL, and the program with it\n",
    )


def test_a_bubble_that_is_stopped_is_noticed() -> None:
    specs = [TrialSpec("home", "none", "register", seed=seed) for seed in range(1, 4)]
    stopped: list[int] = []

    def opened() -> Bubble:
        bubble = Bubble("siplab.experiments.trial.worker:emulated")
        if not stopped:
            stopped.append(bubble.worker)
            os.kill(bubble.worker, signal.SIGSTOP)
        return bubble

    running = side_by_side(specs, opened, "emulated", jobs=1, store=None, limit=3)
    results = [result for _, result in running]
    assert [each.outcome for each in results] == ["error", "pass", "pass"]
    assert "its process was stopped" in results[0].errors[0]


# -- a machine that does not permit it -----------------------------------------------------------------

_WITHOUT_NAMESPACES = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
uid, gid = os.getuid(), os.getgid()
if libc.unshare(0x10000000):
    sys.exit(77)
# The limit of this new user namespace only, and of those in it.
open("/proc/sys/user/max_user_namespaces", "w").write("0")
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"1000 {uid} 1")
open("/proc/self/gid_map", "w").write(f"1000 {gid} 1")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def _without_namespaces(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user who may make no namespaces."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_NAMESPACES, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77:
        missing("no user namespaces here, in which to forbid them")
    return done


def _without_privilege(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python as root without the privilege that namespaces need, as in a container."""
    return subprocess.run(
        ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin", sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Only root can run a program as root without privileges.
@pytest.mark.parametrize("run", [_without_namespaces, *([_without_privilege] if os.getuid() == 0 else [])])
def test_namespaces_that_are_not_permitted(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The command says so in one line, with the fix."""
    trial = ("call", "--model", "none", "--scenario", "register", "--world")
    done = run("-m", "siplab", *trial, "emulated")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("siplab: no emulated world here: ")
    assert "namespaces" in line.partition("no emulated world here: ")[2].partition(";")[0]
    assert "--world simulated" in line
    done = run("-m", "siplab", "exec", "phone", "--", "true")
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    # If the world is ``auto``, the simulated one is used.
    done = run("-m", "siplab", *trial, "auto")
    assert done.returncode == 0, done.stderr


def test_the_error_of_a_bubble_that_is_not_permitted() -> None:
    script = (
        "from siplab.lab.errors import CapabilityError\n"
        "from siplab.lab.worlds.emulated.bubble import Bubble\n"
        "try:\n"
        "    Bubble('tests.lab.worlds.inside:task')\n"
        "except CapabilityError as error:\n"
        "    print(error)\n"
    )
    done = _without_namespaces("-c", script)
    assert done.returncode == 0, done.stderr
    assert OTHERWISE in done.stdout
    assert len(done.stdout.splitlines()) == 1


def test_a_task_that_does_not_exist() -> None:
    with pytest.raises(CapabilityError, match="died while it was being made"):
        Bubble("tests.lab.worlds.inside:no_such_task")
