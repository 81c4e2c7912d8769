"""The placeholders in braces that a program's command line and environment may have, and their values.

``{server_ip}`` and so on; ``{{`` and ``}}`` are braces. Nothing else of Python's format syntax is accepted.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from siplab.lab.errors import UsageError
from siplab.lab.worlds.topology import HostSpec, Topology

if TYPE_CHECKING:
    from siplab.experiments.programs.config import ProgramConfig, ProgramDetector

# The placeholders of every topology. Those for addresses depend on the topology.
PLAIN: Final = ("port", "folder", "here", "model", "topology", "host", "own_ip")


_FOLDERS: Final = ("folder", "here")
_HERE: Final = "{here}/"


def _identifier(name: str) -> str:
    return name.replace("-", "_")


def addresses(topology: Topology) -> dict[str, str]:
    """``NAME_ip`` of every host and role, and ``public_ip``: where the phone is seen from outside."""
    values: dict[str, str] = {}
    for name, host in topology.hosts.items():
        values[f"{_identifier(name)}_ip"] = host.address
    for host in topology.hosts.values():
        if host.role:
            values.setdefault(f"{_identifier(host.role)}_ip", host.address)
    phone = next((host for host in topology.hosts.values() if host.role == "phone"), None)
    gateways = list(topology.gateways.values())
    nearest = next((each for each in gateways if phone and phone.network in each.inside), None)
    gateway = nearest or next(iter(gateways), None)
    if gateway is not None:
        values["public_ip"] = next(iter(gateway.outside.values()))
    elif phone is not None:
        values["public_ip"] = phone.address
    return values


def without_folders(values: Mapping[str, str]) -> dict[str, str]:
    """The values for a program in a container, without those for folders: it sees none of this machine's."""
    return {name: value for name, value in values.items() if name not in _FOLDERS}


def variables(topology: Topology, host: str, model: str) -> dict[str, str]:
    """The environment variables that tell a program its own place and the others' addresses."""
    values = {"SIPLAB_HOST": host, "SIPLAB_MODEL": model, "SIPLAB_TOPOLOGY": topology.id}
    for name, spec in topology.hosts.items():
        values[f"SIPLAB_{_identifier(name).upper()}_IP"] = spec.address
    return values


def fill(text: str, values: Mapping[str, str], field: str) -> str:
    """``text`` with its placeholders filled in. Raises ``UsageError`` that names ``field``."""
    pieces: list[str] = []
    try:
        for literal, name, form, conversion in string.Formatter().parse(text):
            pieces.append(literal)
            if name is None:
                continue
            if name not in values or form or conversion:
                shown = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
                raise UsageError(
                    f"{field}: unknown placeholder '{{{shown}}}'; known are {', '.join(sorted(values))}; "
                    "'{{' is a brace"
                )
            pieces.append(values[name])
    except ValueError as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{field}: a single brace ({error}); write '{{{{' for a brace") from None
    return "".join(pieces)


def host_of(program: ProgramConfig, role: str, topology: Topology, field: str) -> tuple[str, HostSpec]:
    """The host that a program runs on: the one it names, else the one with ``role``.

    Raises ``UsageError``.
    """
    known = ", ".join(topology.hosts)
    if program.host is not None:
        spec = topology.hosts.get(program.host)
        if spec is None:
            raise UsageError(
                f"{field}: no host '{program.host}' in topology '{topology.id}'; there are {known}"
            )
        return program.host, spec
    for name, spec in topology.hosts.items():
        if spec.role == role:
            return name, spec
    raise UsageError(f"{field}: topology '{topology.id}' has no host with role '{role}'; name one of {known}")


def filled(
    program: ProgramConfig, values: Mapping[str, str], where: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    """A program's command line and environment with their placeholders filled in. Raises ``UsageError``."""
    command = tuple(fill(word, values, f"{where}.command") for word in program.command or ())
    environment = {
        name: fill(text, values, f"{where}.environment.{name}") for name, text in program.environment.items()
    }
    return command, environment


def paths(program: ProgramConfig, values: Mapping[str, str], where: str) -> tuple[str, ...]:
    """The paths that a program may write to, with their placeholders filled in. Raises ``UsageError``."""
    found = [Path(fill(each, values, f"{where}.writable")).expanduser() for each in program.writable]
    for path in found:
        if not path.is_absolute() or not path.exists():
            what = "is not there" if path.is_absolute() else "must begin with '/', '~' or {here}"
            raise UsageError(f"{where}.writable: '{path}' {what}")
    return tuple(str(each.resolve()) for each in found)


def check(detector: ProgramDetector, topology: Topology) -> None:
    """Raises ``UsageError`` for errors that can be found before anything runs."""
    values = dict.fromkeys((*PLAIN, *addresses(topology)), "")
    for name, role, program in (("client", "phone", detector.client), ("server", "server", detector.server)):
        if program is not None:
            where = f"detector '{detector.id}': field {name}"
            host_of(program, role, topology, f"{where}.host")
            filled(program, values if program.image is None else without_folders(values), where)
            there = {**values, "here": detector.here or str(Path.cwd())}
            _check_files(program, there["here"], paths(program, there, where), where)


def _check_files(program: ProgramConfig, here: str, writable: Sequence[str], where: str) -> None:
    """Raises ``UsageError`` for a file beside the description that neither exists nor can be written."""
    named = [(f"{where}.command", word) for word in program.command or ()]
    named += [(f"{where}.environment.{name}", text) for name, text in program.environment.items()]
    for field, word in named:
        text = word if word.startswith(_HERE) else word.rpartition("=")[2]
        if not text.startswith(_HERE) or "{" in text.removeprefix(_HERE):
            continue
        path = Path(here, text.removeprefix(_HERE))
        if not path.exists() and not any(path.resolve().is_relative_to(each) for each in writable):
            raise UsageError(f"{field}: no file '{path}'")
