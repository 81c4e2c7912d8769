"""The connection between a running lab and the commands that use it.

It is a Unix socket in a folder that only this user can enter. Each request and each answer is one JSON
document. Descriptors can go with a request, so that a program gets the terminal of the command that started
it.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from siplab.lab.errors import UsageError

LONGEST: Final = 1 << 20  # bytes of a request or an answer
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


def folder() -> Path:
    """The folder with the sockets of this user's labs. Raises ``UsageError`` if it can't be trusted."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    place = Path(base, "siplab") if base and Path(base).is_dir() else Path("/tmp", f"siplab-{os.getuid()}")  # noqa: S108 - looked at below
    with suppress(FileExistsError):
        place.mkdir(mode=0o700)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise UsageError(f"{place} is no folder that only this user can enter: remove it")
    return place


def path_of(name: str) -> Path:
    """The socket of the lab of that name. Raises ``UsageError`` for a name that is not possible."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"'{name}' is no name of a lab: up to 32 lower-case letters, digits and '-'")
    return folder() / f"{name}.sock"


def listen(name: str) -> socket.socket:
    """Listen as the lab of that name. Raises ``UsageError`` if there is one already."""
    path = path_of(name)
    if path.exists() and _answers(path):
        raise UsageError(f"a lab '{name}' is up already: siplab down --lab {name}, or take another --name")
    path.unlink(missing_ok=True)  # left by a lab that was killed
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line.bind(str(path))
    line.listen(8)
    return line


def names() -> list[str]:
    """The names of the labs that are up."""
    return sorted(path.stem for path in folder().glob("*.sock") if _answers(path))


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        try:
            line.connect(str(path))
        except OSError:
            return False
    return True


def is_this_user(line: socket.socket) -> bool:
    """Whether the caller is this user, or root."""
    data = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    # In a user namespace this user is root, and all other users are nobody.
    return _CREDENTIALS.unpack(data)[1] in (0, os.getuid())


class Caller:
    """A command's end of the connection. Raises ``UsageError`` if no such lab is up."""

    def __init__(self, name: str = "") -> None:
        if not name:
            name = _the_only_one()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
        try:
            self._socket.connect(str(path_of(name)))
        except OSError:
            up = ", ".join(names())
            raise UsageError(
                f"no lab '{name}' is up" + (f"; there are {up}" if up else f": siplab up --name {name}")
            ) from None

    def ask(self, what: str, descriptors: Sequence[int] = (), **values: object) -> Any:
        """Send a request and wait for its answer. Raises ``UsageError`` with the lab's error."""
        self.tell(what, descriptors, **values)
        return self.answer()

    def tell(self, what: str, descriptors: Sequence[int] = (), **values: object) -> None:
        data = json.dumps({"do": what, **values}).encode()
        if len(data) > LONGEST:
            raise UsageError("that is too long for a request")
        try:
            socket.send_fds(self._socket, [data], list(descriptors))
        except OSError:
            raise UsageError("the lab has ended") from None

    def answer(self) -> Any:
        try:
            data = self._socket.recv(LONGEST)
        except OSError:
            data = b""
        if not data:
            raise UsageError("the lab has ended")
        row = json.loads(data)
        if "error" in row:
            raise UsageError(row["error"])
        return row.get("answer")

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


def _the_only_one() -> str:
    up = names()
    if len(up) != 1:
        raise UsageError(
            "no lab is up: siplab up"
            if not up
            else f"several labs are up, name one with --lab: {', '.join(up)}"
        )
    return up[0]


def received(line: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    """The next request and its descriptors; ``None`` if the caller has hung up or sent nonsense."""
    try:
        data, descriptors, _, _ = socket.recv_fds(line, LONGEST, 4)
        row = json.loads(data) if data else None
    except (OSError, ValueError, RecursionError):
        return None, []
    return (row, list(descriptors)) if isinstance(row, dict) else (None, list(descriptors))


def send(line: socket.socket, row: dict[str, object]) -> None:
    """Send an answer. If the caller has gone, it is lost."""
    with suppress(OSError):
        line.send(json.dumps(row).encode())


def close_all(descriptors: Iterable[int]) -> None:
    for each in descriptors:
        with suppress(OSError):
            os.close(each)
