"""What ``doctor`` says if a machine forbids namespaces: the file that forbids it, and the exact fix."""

from __future__ import annotations

import pytest

from siplab.lab.worlds.emulated import forbidden

APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
OWN = "/home/ann/lab/.venv/bin/python3.12"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"/proc/sys/kernel/unprivileged_userns_clone": "0"}, "sysctl kernel.unprivileged_userns_clone=1"),
        ({"/proc/sys/user/max_user_namespaces": "0"}, "sysctl user.max_user_namespaces=1000"),
        ({"/proc/version": "Linux version 5.15.1-microsoft-standard-WSL2"}, "wsl --update"),
        ({"/.dockerenv": ""}, "--privileged"),
        ({"/run/.containerenv": "", APPARMOR: "1"}, "--security-opt apparmor=unconfined"),
        ({APPARMOR: "0"}, "run as root"),
        ({}, "run as root"),
    ],
)
def test_what_is_said_to_a_user(files: dict[str, str], said: str) -> None:
    line = forbidden.reason(root=False, reader=files.get, python=OWN)
    assert said in line
    assert "\n" not in line


def test_apparmor_is_told_of_this_program_alone() -> None:
    line = forbidden.reason(root=False, reader={APPARMOR: "1"}.get, python=OWN)
    assert f"profile siplab {OWN} flags=(unconfined) {{ userns, }}" in line
    assert "apparmor_parser -r /etc/apparmor.d/siplab" in line


def test_a_python_of_everybody_gets_no_profile() -> None:
    line = forbidden.reason(root=False, reader={APPARMOR: "1"}.get, python="/usr/bin/python3.12")
    assert "venv --copies" in line
    assert "profile siplab" not in line


def test_what_is_said_to_root() -> None:
    assert "CAP_SYS_ADMIN" in forbidden.reason(root=True, reader={APPARMOR: "1"}.get, python=OWN)
