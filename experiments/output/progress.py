"""A progress bar on standard error, with rate and remaining time; none if that is not a terminal."""

from __future__ import annotations

from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    """Trials per second, once that can be estimated."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s", style="progress.data.speed")


class Advance(Protocol):
    """Reports that so many more trials are done."""

    def __call__(self, result: object, trials: int = 1) -> None: ...


class TrialProgress:
    """``with TrialProgress(total, errors) as advance``: ``advance(result)`` after each trial, or several."""

    def __init__(self, total: int, errors: Console) -> None:
        self._bar = Progress(
            "[progress.description]{task.description}",
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=errors,
            transient=True,
            disable=not errors.is_terminal,
        )
        self._task = self._bar.add_task("trials", total=total)

    def __enter__(self) -> Advance:
        self._bar.start()
        return self._advance

    def _advance(self, result: object, trials: int = 1) -> None:
        self._bar.advance(self._task, trials)

    def __exit__(self, *args: object) -> None:
        self._bar.stop()
