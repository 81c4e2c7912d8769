"""``python -m tools.figures``: redraw the four figures of docs/papers.md in docs/pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import siplab

_ROOT: Final = Path(__file__).parents[1]
_FOLDER: Final = _ROOT / "docs" / "pictures"
_WRONG: Final = _ROOT / "experiments" / "detectors" / "wrong"
VENDORS: Final = ("belkin", "check-point", "comtrend", "mikrotik", "zyxel", "avm-fritzbox")
SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", "hold", "long-call", "transfer", "tcp-call")
REMEDIES: Final = ((), ("non-standard-port",), ("tls",), ("stun",))
_SILENT: Final = ("none", "belkin", "sdp-lines-eaten", "via-not-restored-some-codes")


def main() -> None:
    """Draw all of them."""
    found = siplab.matrix(
        ["none"],
        SCENARIOS,
        vendors=VENDORS,
        mitigations=REMEDIES,
        phones=["plain"],
        servers=["rport-aware"],
        repeat=2,
        vary=True,
    )
    media = siplab.matrix(_SILENT, ["outgoing-call", "hold"], phones=["plain"], servers=["rport-aware"])
    scores = siplab.score(
        ["mirror", "received", "passive", "always-alg", "any-private-address"],
        ["faults"],
        detector_paths=[_WRONG],
    )
    figures = {
        "heat-map": found.plot.heat_map("matplotlib"),
        "cure-rates": found.plot.cure_rates("matplotlib"),
        "media-loss": media.plot.media_loss("matplotlib"),
        "detectors": scores.plot.detectors("matplotlib"),
    }
    for name, figure in figures.items():
        figure.savefig(_FOLDER / f"figure-{name}.png", dpi=110)


if __name__ == "__main__":
    main()
