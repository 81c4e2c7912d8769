"""No program can spoil the next trial: it may do little, and what it changed all the same is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from siplab.experiments.programs import ProgramDetector
from siplab.experiments.trial import runner
from siplab.experiments.trial.result import TrialResult
from siplab.experiments.trial.spec import TrialSpec
from siplab.lab.errors import UsageError
from siplab.lab.worlds.emulated.confinement import CAPABILITIES, GRANTED
from tests.conftest import ROOT, OrdinaryUser

# A program that sent no packet has no verdict.
KNOCK: Final = f"python3 {ROOT}/tests/data/detectors/knock.py {{server_ip}}"

# What a program does to the host that it is on, and to others; each was seen to spoil the trials after it.
BREAKERS: Final = {
    "rules": "iptables -I OUTPUT -j DROP",
    "routes": "ip route flush table main",
    "addresses": "ip addr flush dev eth0",
    "neighbours": "ip neigh flush nud permanent dev eth0",
    "link": "ip link set eth0 down",
    "settings": "sysctl -w net.ipv4.ip_default_ttl=1",
    "processes": "kill -9 -1",
    "mounts": "mount -t tmpfs none /usr/bin",
    "mounts-of-the-lab": "nsenter -t 1 -m mount -t tmpfs none /usr/bin",
    "stopped-shells": "kill -STOP -1",
    "files": "touch /tmp/left /run/left /var/run/left /dev/shm/left",
}
# What any trial after that must find: the others answer, and nothing was left behind.
# A closed port answers at once: connection refused.
REACHES: Final = (
    "python3 -c 'import socket, sys; s = socket.socket(); s.settimeout(2); "
    'sys.exit(s.connect_ex(("{server_ip}", 9)) != 111)\''
)
GOOD: Final = (
    f"{REACHES} || exit 9; "
    "test $(cat /proc/sys/net/ipv4/ip_default_ttl) = 64 || exit 8; "
    "ls /tmp/left /run/left /var/run/left /dev/shm/left 2>/dev/null && exit 7; exit 0"
)


def detector(script: str, id: str = "good", **fields: Any) -> ProgramDetector:
    """One whose client is a shell script; whatever its exit status, it says something."""
    client = {"command": ["sh", "-c", f"{KNOCK}; {script}"], "timeout": 10, **fields}
    return ProgramDetector.model_validate(
        {"id": id, "client": client, "verdict": {"exit": {"clean": 0, "alg": list(range(1, 256))}}}
    )


def run(*detectors: ProgramDetector) -> list[TrialResult]:
    return runner.run_all([TrialSpec("home", "none", detector=each) for each in detectors], world="emulated")


def said(result: TrialResult) -> str:
    assert result.errors == []
    assert result.finding is not None
    return f"{result.finding.verdict}: {result.finding.detail}"


@pytest.mark.needs("emulated")
@pytest.mark.parametrize("privileged", [False, True])
def test_the_next_trial_finds_everything_as_it_was(
    privileged: bool, record_property: Callable[[str, object], None]
) -> None:
    record_property("tried", len(BREAKERS))
    order: list[ProgramDetector] = []
    for name, script in BREAKERS.items():
        breaker = detector(script, name)
        order += [breaker.with_all_capabilities() if privileged else breaker, detector(GOOD)]
    results = run(*order)
    for name, broken, after in zip(BREAKERS, results[::2], results[1::2], strict=True):
        assert broken.errors == [], name
        assert said(after).startswith("clean"), (name, said(after))
    if not privileged:
        refused = (
            "rules",
            "routes",
            "addresses",
            "neighbours",
            "link",
            "settings",
            "mounts",
            "mounts-of-the-lab",
        )
        for name, result in zip(BREAKERS, results[::2], strict=True):
            assert result.outcome == ("alg" if name in refused else "clean"), name


@pytest.mark.needs("emulated")
def test_a_host_that_can_start_nothing_is_no_detectors_error() -> None:
    """One client takes the programs away; the other, on the same host, can't be started."""
    hides = [
        "sh",
        "-c",
        "for p in /proc/[0-9]*; do nsenter -t ${{p#/proc/}} -m mount -t tmpfs n /usr/bin; done",
    ]
    both = ProgramDetector.model_validate(
        {
            "id": "hides",
            "server": {"command": hides, "host": "laptop", "capabilities": ["ALL"], "ready": {"log": "."}},
            "client": {"command": "sleep 9", "host": "laptop"},
            "verdict": {"exit": {"clean": 0}},
        }
    )
    # The server is "ready" with the error of the first command that it no longer has.
    first, after = run(both, detector(GOOD))
    assert first.outcome == "error"
    assert said(after).startswith("clean")


@pytest.mark.needs("emulated")
def test_what_a_program_may_write(tmp_path: Path) -> None:
    given, other = tmp_path / "given", tmp_path / "other"
    given.mkdir()
    other.mkdir()
    script = (
        f"echo x > {{folder}}/a || exit 3; echo x > {given}/a || exit 4; "
        f"touch {other}/a /etc/siplab-test /usr/siplab-test 2>/dev/null; "
        "touch /tmp/a /run/a /dev/shm/a || exit 5; test -e /etc/siplab-test && exit 6; exit 0"
    )
    (result,) = run(detector(script, writable=[str(given)]))
    assert said(result).startswith("clean")
    assert (given / "a").read_text() == "x\n"
    assert list(other.iterdir()) == []  # it wrote to a copy of /tmp


@pytest.mark.needs("emulated")
def test_which_capabilities_a_program_has() -> None:
    script = "grep CapEff /proc/self/status"
    few, more = run(detector(script, "few"), detector(script, "more", capabilities=["SETUID", "SETGID"]))
    expected = {CAPABILITIES.index(each) for each in GRANTED}
    for result, numbers in ((few, expected), (more, expected | {6, 7})):
        mask = int(said(result).split()[-1], 16)
        assert {number for number in range(64) if mask >> number & 1} == numbers
    daemon = "setpriv --reuid 65534 --regid 65534 --clear-groups id -u"
    results = run(detector(daemon, "plain"), detector(daemon, "daemon", capabilities=["SETUID", "SETGID"]))
    assert said(results[0]).startswith("alg: ")
    assert said(results[1]) == "clean: 65534"


@pytest.mark.needs("emulated")
def test_an_ordinary_users_programs_are_confined_too(ordinary_user: OrdinaryUser) -> None:
    script = (
        "touch /tmp/siplab-of-this-test /run/x /dev/shm/x || exit 3; ip link set eth0 down && exit 4; "
        "touch {folder}/x || exit 6; "
        f"{REACHES} || exit 5; exit 0"
    )
    done = ordinary_user.run(
        [
            "-c",
            "from siplab.experiments.programs import ProgramDetector as D\n"
            "from siplab.experiments.trial import runner\n"
            "from siplab.experiments.trial.spec import TrialSpec\n"
            f"d = D.from_options(client=['sh', '-c', {script!r}], clean_exit=0, alg_exit=[3, 4, 5, 6])\n"
            "for r in runner.run_all([TrialSpec(detector=d), TrialSpec(detector=d)], world='emulated'):\n"
            "    print(r.outcome, r.errors, r.finding.detail)\n",
        ]
    )
    rows = done.stdout.splitlines()
    assert len(rows) == 2, done.stderr
    assert all(row.startswith("clean []") for row in rows), rows


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"capabilities": ["NET_ADMN"]}, "'NET_ADMN' is no capability; did you mean NET_ADMIN?"),
        ({"capabilities": ["CAP_SETUID"]}, "did you mean SETUID?"),
        ({"image": "x", "writable": ["/etc"]}, "'writable' is for programs of this machine"),
    ],
)
def test_what_cannot_be_given(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + words.replace("?", "[?]")):
        detector("true", **fields)


@pytest.mark.parametrize(
    ("place", "words"),
    [("relative", "must begin with"), ("/no/such/place", "is not there"), ("{x}", "unknown")],
)
def test_a_place_that_cannot_be_written_is_named(place: str, words: str) -> None:
    with pytest.raises(UsageError, match=rf"detector 'good': field client.writable: .*{words}"):
        run(detector("true", writable=[place]))
