"""What the figures share: colours that colour-blind readers can distinguish, and how figures are saved."""

from __future__ import annotations

from typing import Any, Final, Literal

from siplab.experiments.tables.libraries import needed

Library = Literal["altair", "matplotlib"]

# Okabe and Ito's colours, and ColorBrewer's scale from orange to blue.
COLOURS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SCALE: Final = ("#b35806", "#f1a340", "#fee0b6", "#d8daeb", "#998ec3", "#542788")
NOTHING: Final = "#eeeeee"
_FONTS: Final = {
    "pdf.fonttype": 42,  # TrueType fonts, since publishers refuse Type 3
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "siplab",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure and its axes, sized in inches, with settings that do not affect other code's figures.

    ``savefig`` embeds fonts, and writes the same file for the same figure. Raises ``UsageError``.
    """
    matplotlib = needed("matplotlib", "a figure", "notebook")
    base: Any = needed("matplotlib.figure", "a figure", "notebook").Figure

    class PaperFigure(base):  # type: ignore[misc, valid-type, unused-ignore]
        def savefig(self, path: Any, **options: Any) -> None:
            undated = {"metadata": {"CreationDate": None}} if str(path).endswith(".pdf") else {}
            undated = {"metadata": {"Date": None}} if str(path).endswith(".svg") else undated
            with matplotlib.rc_context(_FONTS):
                super().savefig(path, **{"bbox_inches": "tight", **undated, **options})

        def _repr_png_(self) -> bytes:
            from io import BytesIO

            target = BytesIO()
            self.savefig(target, format="png", dpi=110)
            return target.getvalue()

    with matplotlib.rc_context(_FONTS):
        made = PaperFigure(figsize=(width, height), layout="constrained")
        axes = made.subplots()
    return made, axes


def chart(rows: list[dict[str, Any]]) -> tuple[Any, Any]:
    """The library altair, and a chart of these rows. Raises ``UsageError``."""
    altair = needed("altair", "a figure", "notebook")
    return altair, altair.Chart(altair.Data(values=rows))
