"""Images for tests, of files of this machine: programs with the libraries that they need, and busybox."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

DATA: Final = Path(__file__).parents[2] / "data"
_NAMES: Final = ("sh", "nc", "md5sum", "sleep", "cat", "test", "touch", "ip")
_KAMAILIO: Final = (
    "kex",
    "tm",
    "sl",
    "rr",
    "pv",
    "maxfwd",
    "usrloc",
    "registrar",
    "siputils",
    "textops",
    "xlog",
)

_BARESIP: Final = ("account", "aubridge", "aufile", "ctrl_tcp", "g711", "menu")


def made() -> dict[str, tuple[bytes, list[str]]]:
    """The archive of each image's files, and what its Containerfile would say beside."""
    soon = "--interval=200ms --timeout=5s --retries=50"
    found: dict[str, tuple[bytes, list[str]]] = {"siplab-test": (image(), [])}
    if _has("sipsak"):
        found["siplab-phone"] = (image("sipsak"), [])
    if _has("kamailio"):
        folder = next(iter(Path("/usr/lib").glob("*/kamailio/modules")))
        modules = [str(folder / f"{name}.so") for name in _KAMAILIO]
        found["siplab-registrar"] = (image("kamailio", *modules), ['CMD ["/usr/sbin/kamailio", "-DD", "-E"]'])
    if _has("baresip"):
        place = "/usr/lib/baresip/modules"
        found["siplab-baresip"] = (image("baresip", *(f"{place}/{name}.so" for name in _BARESIP)), [])
    if _has("iptables-nft"):
        extensions = next(iter(Path("/usr/lib").glob("*/xtables")))
        parts = [str(extensions / f"lib{name}.so") for name in ("xt_MASQUERADE", "ipt_MASQUERADE")]
        check = f"HEALTHCHECK {soon} CMD test -e /ready"
        found["siplab-router"] = (image("iptables-nft", *filter(_has, parts)), [check])
    return found


def _has(program: str) -> bool:
    return Path(program).exists() if "/" in program else shutil.which(program) is not None


def image(*files: str) -> bytes:
    """A root file system: busybox with some of its names, a detector, and programs with their libraries."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", dereference=True) as archive:
        busybox = shutil.which("busybox")
        assert busybox is not None
        archive.add(busybox, "bin/busybox")
        for name in _NAMES:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            archive.addfile(link)
        archive.add(DATA / "detectors" / "container.sh", "detector.sh")
        found = list(_with_libraries(files))
        add_folders(archive, ["tmp", *(each for path in found for each in above(path.lstrip("/")))])
        for path in found:
            archive.add(path, path.lstrip("/"))
    return data.getvalue()


def add_folders(archive: tarfile.TarFile, folders: Iterable[str]) -> None:
    """Folders that any user may enter; without an entry of their own only root could."""
    for name in dict.fromkeys(folders):
        folder = tarfile.TarInfo(name)
        folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
        archive.addfile(folder)


def above(path: str) -> list[str]:
    """The folders above a path, the highest first."""
    return [str(each) for each in reversed(Path(path).parents) if each != Path()]


def _with_libraries(files: Iterable[str]) -> Iterable[str]:
    found: dict[str, None] = {}
    for each in files:
        path = shutil.which(each) or each
        found[path] = None
        printed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        found |= dict.fromkeys(re.findall(r"(/\S+) \(0x", printed))
    return found
