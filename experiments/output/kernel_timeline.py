"""``siplab vendors timeline linux``: which kernel's ALG has which fault, and which routers have that kernel.

It is computed from the flags with which the model of each range of kernels runs.
"""

from __future__ import annotations

from typing import Any, Final

from rich.console import Console
from rich.text import Text

from siplab.alg_models import vendors
from siplab.alg_models.exact._linux.kernel import BANDS, NEWEST, NEWEST_VERSION, Kernel, of_version
from siplab.experiments.output.console import grid
from siplab.lab import specs
from siplab.lab.errors import UsageError

Row = dict[str, Any]

# The name of a difference between kernels, and a test whether a kernel has it.
_FAULTS: Final = (
    ("TCP is not looked at", "tcp", False),
    ("fax (m=image) stays private", "image", False),
    ("a third stream stays private", "streams", 2),
    ("an INVITE leaves what the last one expected", "invite_flushes", False),
    ("a Contact for another transport counts", "checks_transport", False),
    ("a Request-URI without a user stays public", "uri_needs_user", True),
    ("'m:sip:' is not read", "compact_needs_blank", True),
    ("over TCP, Content-Length has to be last", "length_anywhere", False),
    ("a TCP message longer than its segment is dropped", "drops_long_segments", True),
    ("the port for RTP stays taken where RTCP's is in use", "frees_rtp", False),
    ("parameters of a Via are looked for at the wrong place", "shifts_parameters", False),
    ("a phone that listens elsewhere gets no answers", "forced_dport", False),
    ("answers go to the Via's port even with rport", "forced_dport", True),
    ("CSeq 0 and tabs are not read", "zero_cseq", False),
    ("INVITEX is taken for INVITE", "whole_methods", False),
    ("media leaves from another port than announced", "source_port_kept", False),
    ("an equal expectation of another call is an error", "skips_master", True),
    ("a port below 1024 drops a REGISTER", "hardened", False),
    ("without media, o= and c= are garbage", "session_needs_address", False),
)


def timeline(of: str) -> Row:
    """The faults by range of kernels, and the vendors. Raises ``UsageError`` for another family."""
    if of != "linux":
        raise UsageError(f"vendors timeline: of '{of}' no versions are known; known is 'linux'")
    bands = [(".".join(map(str, first)), kernel) for first, kernel in reversed(BANDS)]
    bands.append((NEWEST_VERSION, NEWEST))
    return {
        "bands": [name for name, _ in bands],
        "faults": [
            {"fault": told, "kernels": [name for name, kernel in bands if getattr(kernel, field) == value]}
            for told, field, value in _FAULTS
        ],
        "vendors": {name: _vendors(kernel) for name, kernel in bands},
        "before": {
            "linux-gen1": "2.6.18 to 2.6.25",
            "patch-o-matic": "before 2.6.18, where it was patched in",
        },
    }


def _vendors(wanted: Kernel) -> list[str]:
    """The cards, with variants, whose model is the ALG of a kernel in that range."""
    found = []
    for card in map(vendors.load, vendors.available()):
        for name, spec in [("", card.model), *((each.id, each.model or "") for each in card.variants)]:
            for part in specs.split(spec, "model") if spec else ():
                model, values = specs.parse(part, "model")
                version = str(values.get("kernel", NEWEST_VERSION))
                if model == "linux" and of_version(version) == wanted:
                    found.append(specs.written(card.id, {"variant": name} if name else {}))
    return found


def print_timeline(data: Row, console: Console) -> None:
    """Print one row per fault, one column per range; then the routers that have these kernels."""
    rows: list[list[str | Text]] = [
        [row["fault"], *("x" if name in row["kernels"] else "" for name in data["bands"])]
        for row in data["faults"]
    ]
    console.print(grid(("fault, in kernels from", *data["bands"]), rows, console.width))
    console.print()
    for name, cards in data["vendors"].items():
        console.print(f"{name}: {', '.join(cards) or 'no card names it'}", highlight=False)
    for model, when in data["before"].items():
        console.print(f"kernels {when}: the model {model}", highlight=False)
