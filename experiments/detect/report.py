"""The report of detectors on a real network: what they found, what it means, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from rich.console import Console

from siplab.alg_models import vendors as vendor_files
from siplab.experiments.output.console import print_folded

Verdict = Literal["alg", "clean", "undecided"]
EXITS: Final[dict[str, int]] = {"clean": 0, "alg": 1, "undecided": 3}
_MOST_VENDORS: Final = 6
_MOST_EVIDENCE: Final = 6  # sentences for each path
_ALONE: Final = ("correct",)  # models too frequent to say anything: half of all vendors have them


@dataclass(frozen=True)
class Way:
    """One path to the server: a transport and a port, and what happens to SIP on it."""

    transport: str
    port: int
    verdict: str
    changed: tuple[str, ...] = ()
    detail: str = ""
    evidence: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.transport} port {self.port}"


@dataclass(frozen=True)
class Report:
    """Everything that was found out. ``public``: this machine's address as the server sees it."""

    server: str
    detector: str
    own: str
    public: str
    ways: tuple[Way, ...]
    faults: tuple[str, ...] = ()
    untested: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)

    @property
    def verdict(self) -> Verdict:
        """``alg`` if any path shows one; ``clean`` only if SIP over UDP, or else TCP, was found clean."""
        found = [each.verdict for each in self.ways if each.transport != "TLS"]
        if "alg" in found:
            return "alg"
        main = self.ways[0].verdict if self.ways else "undecided"
        return "clean" if main == "clean" else "undecided"

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for each in self.ways for name in each.changed))

    def advice(self) -> list[str]:
        """What a user can do."""
        if self.verdict == "clean":
            return []
        if self.verdict == "undecided":
            return ["run it again, from a wired computer; if it stays undecided, ask for another server"]
        lines = ["switch the SIP ALG off: `siplab vendors` lists routers, `siplab vendors show ID` says how"]
        lines += [f"`siplab vendors show {each}`: is known to do this" for each in vendors_with(self.faults)]
        open_ways = [each for each in self.ways if each.verdict == "clean"]
        bad = {each.transport for each in self.ways if each.verdict == "alg"}
        for way in open_ways:
            if way.transport == "TLS":
                lines.append(f"SIP over TLS gets through unharmed (port {way.port}): use it if you can")
            elif way.transport in bad:
                lines.append(f"{way.name} is left alone: a provider that offers another port helps")
            else:
                lines.append(f"SIP over {way.transport} gets through unharmed (port {way.port})")
        return lines

    def as_json(self) -> dict[str, Any]:
        """Everything, for programs. The version rises if a field changes its meaning."""
        return {
            "format": "siplab-detect",
            "version": 1,
            "verdict": self.verdict,
            **asdict(self),
            "changed": list(self.changed),
            "advice": self.advice(),
        }


def vendors_with(faults: Sequence[str]) -> list[str]:
    """Ids of vendors whose model is, or contains, one of these."""
    wanted = {_bare(each) for each in faults} - set(_ALONE)
    found = []
    for identifier in vendor_files.available():
        models = {_bare(part) for part in vendor_files.load(identifier).model.split("+")}
        if models & wanted:
            found.append(identifier)
    return found[:_MOST_VENDORS]


def _bare(spec: str) -> str:
    return re.sub(r"\(.*", "", spec).strip()


_WORDS: Final = {
    "alg": ("There is a SIP ALG on the way.", "bold red"),
    "clean": ("SIP gets through as it was sent.", "bold green"),
    "undecided": ("Undecided.", "bold yellow"),
}


def print_report(report: Report, console: Console) -> None:
    """The report for a reader."""
    text, style = _WORDS[report.verdict]
    console.print(text, style=style)
    console.print(f"  from {report.own}" + (f", seen as {report.public}" if report.public else ""))
    for way in report.ways:
        what = ", ".join(way.changed)
        detail = f"changed: {what}" if what else way.detail
        lead = f"  {way.name:<14} {way.verdict:<10} "
        print_folded(f"{lead}{detail}".strip(), console, 2, hanging=len(lead) - 2)
    for way in report.ways:
        _list(f"evidence, {way.name}", way.evidence, console, _MOST_EVIDENCE)
    _list("looks like", list(report.faults), console)
    _list("not tested", list(report.untested), console)
    _list("what to do", report.advice(), console)


def _list(title: str, lines: Sequence[str], console: Console, most: int = 100) -> None:
    if not lines:
        return
    console.print(title)
    for line in lines[:most]:
        print_folded(f"- {line}", console, 2, hanging=2)
    if len(lines) > most:
        console.print(f"  - and {len(lines) - most} more (--json has them all)")
