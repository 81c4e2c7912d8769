"""The results of ``siplab.run``, ``siplab.matrix`` and ``siplab.score``, as notebooks can show them."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, NamedTuple

from siplab.experiments.figures import cure_rates, detectors, heat_map, media_loss
from siplab.experiments.figures.drawing import Library
from siplab.experiments.output import book
from siplab.experiments.score.tally import Score
from siplab.experiments.tables import frames, tables
from siplab.experiments.tables.dictionary import TableName
from siplab.experiments.trial.changed_parts import changed_parts
from siplab.experiments.trial.result import TrialResult
from siplab.lab.errors import UsageError
from siplab.lab.worlds.trace import Trace

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    DataFrame = Any


class TrialRun(NamedTuple):
    """What ``run`` returns: the result, and the trace of every packet and event.

    A notebook shows it as its page. The data frames need pandas (extra ``notebook``), and raise
    ``UsageError`` without it; ``experiments.tables.TABLES`` says what their columns mean.
    """

    result: TrialResult
    trace: Trace

    @property
    def checks(self) -> DataFrame:
        """One row per check."""
        return frames.frame("checks", [self.result])

    @property
    def messages(self) -> DataFrame:
        """One row per SIP message and place where it was seen."""
        return frames.messages(self.trace)

    @property
    def changes(self) -> DataFrame:
        """One row per part of a message that a router changed."""
        if not self.result.changes:
            self.result.changes = changed_parts(self.trace.passages)
        return frames.frame("changes", [self.result])

    @property
    def media(self) -> DataFrame:
        """One row per stream of a call, at each end."""
        return frames.frame("streams", [self.result])

    def _repr_html_(self) -> str:
        page = book.of_one(self.result, self.trace)
        # The page is a document with scripts of its own. An iframe separates it from the notebook.
        return (
            '<iframe sandbox="allow-scripts" style="width:100%;height:640px;border:1px solid #ccc" '
            f'srcdoc="{html.escape(page)}"></iframe>'
        )


class Matrix(list[TrialResult]):
    """The results of ``matrix``, in the order of its trials."""

    def to_frame(self, table: TableName = "trials") -> DataFrame:
        """One of the tables ``trials``, ``checks``, ``streams``, ``silences``, ``changes``, ``findings``.

        Raises ``UsageError`` if pandas is missing.
        """
        return frames.frame(table, self)

    @property
    def plot(self) -> MatrixPlots:
        """The figures."""
        return MatrixPlots(self)


class MatrixPlots:
    """Figures of a matrix: altair's charts, or matplotlib's figures whose ``savefig`` embeds fonts in PDF.

    Each raises ``UsageError`` if the library is missing, or if there is nothing to draw.
    """

    def __init__(self, results: Matrix) -> None:
        self._tables = tables(results)

    def heat_map(self, library: Library = "altair", *, mitigations: str = "") -> Any:
        """Routers by scenarios, with the evidence of each router.

        ``mitigations``: those of the trials, joined by ``+``.
        """
        return _drawn(heat_map, heat_map.points(self._tables["trials"], mitigations), library)

    def cure_rates(self, library: Library = "altair") -> Any:
        """Of the trials that fail without mitigations, how many work with each."""
        return _drawn(cure_rates, cure_rates.points(self._tables["trials"]), library)

    def media_loss(self, library: Library = "altair", *, mitigations: str = "", step: float = 0.0) -> Any:
        """The share of streams that hear nothing, by seconds since the answer, every ``step`` seconds."""
        found = self._tables
        rows = media_loss.points(found["trials"], found["streams"], found["silences"], step, mitigations)
        return _drawn(media_loss, rows, library)


class Scoreboard(list[Score]):
    """The scores of ``score``, one per detector."""

    @property
    def plot(self) -> ScorePlots:
        """The figure."""
        return ScorePlots(self)


class ScorePlots:
    """The figure of a scoreboard, like those of ``MatrixPlots``."""

    def __init__(self, scores: Scoreboard) -> None:
        self._scores = scores

    def detectors(self, library: Library = "altair") -> Any:
        """How many ALGs each detector notices, against how many clean routers it accuses."""
        return _drawn(detectors, detectors.points(self._scores), library)


def _drawn(figure: Any, rows: list[dict[str, Any]], library: Library) -> Any:
    if library not in ("altair", "matplotlib"):
        raise UsageError(f"a figure is drawn by altair or matplotlib, not by '{library}'")
    if not rows:
        raise UsageError(f"{figure.__name__.rpartition('.')[2]}: these results have nothing to draw in it")
    return getattr(figure, library)(rows)
