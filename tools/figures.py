"""The four figures of docs/research.md: ``python -m tools.figures`` draws them anew into docs/pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import siplab

_FOLDER: Final = Path(__file__).parents[1] / "docs" / "pictures"
VENDORS: Final = ("mikrotik", "tp-link", "netgear", "asus", "juniper", "avm-fritzbox")
SCENARIOS: Final = ("register", "outgoing-call", "incoming-call", "hold", "long-call", "transfer", "tcp-call")
REMEDIES: Final = ((), ("non-standard-port",), ("tls",), ("stun",))
_SILENT: Final = ("none", "media-idle-blocked", "sdp-m-only", "hold-releases-media", "media-sport-not-mapped")


def main() -> None:
    """Draw all of them."""
    found = siplab.matrix(
        vendors=VENDORS, models=("none",), scenarios=SCENARIOS, mitigations=REMEDIES, repeat=2, vary=True
    )
    media = siplab.matrix(_SILENT, ("hold", "outgoing-call"))
    scores = siplab.score(("mirror", "received", "passive", "combined"), ("none", "correct", *VENDORS[:5]))
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
