"""The progress meter of long runs."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["ProgressMeter"]


class ProgressMeter:
    """A bar on standard error that shows how far a run has come; silent if not wanted.

    Args:
        label: what is running.
        start, end: the range that the run crosses, in the user's unit of time.
        visible: show it or not.
    """

    def __init__(self, label: str, start: float, end: float, visible: bool):
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TextColumn("t = {task.fields[time]:.3g} of {task.fields[end]:.3g}"),
            TextColumn("{task.fields[steps]} steps"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not visible,
        )
        self._start = start
        self._task = self._progress.add_task(label, total=max(end - start, 1e-300), time=start, end=end, steps=0)

    def update(self, time: float, steps: int) -> None:
        """Show that the run has come to `time` in `steps` steps."""
        self._progress.update(self._task, completed=time - self._start, time=time, steps=steps)

    def finish(self) -> None:
        """Show that the run has ended where it is, before the end of its range."""
        task = next(t for t in self._progress.tasks if t.id == self._task)
        self._progress.update(self._task, total=max(task.completed, 1e-300), end=task.fields["time"])

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, trace)
