"""Steps of a long command: a bar each on a terminal, elsewhere a line now and then."""

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

_LINE_EVERY_SECONDS = 10.0


class Steps:
    """Shows one step after the other; a context manager, because a terminal is given back as it was."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", style="yellow"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._bar: TaskID | None = None
        self._step, self._total, self._done, self._began, self._said = "", 0, 0, 0.0, 0.0

    def __enter__(self) -> "Steps":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, step: str, total: int) -> None:
        """Another step, of `total` pieces; 0 if nobody knows."""
        self._step, self._total, self._done = step, total, 0
        self._began = self._said = time.monotonic()
        self._bar = self._progress.add_task(escape(step), total=total or None, pace="", note="")

    def advance(self, done: int) -> None:
        """So many more pieces are done."""
        self._done += done
        self._update("")
        self._say(f"{self._done:,} of {self._total:,}{self._pace()}")

    def at(self, share: float, doing: str) -> None:
        """A share of the step, from 0 to 1, is done, and what is done or waited for now."""
        self._done = int(share * self._total)
        self._update(doing)
        self._say(f"{share:.0%}, {doing}" if doing else "waits for another index")

    def note(self, why: str) -> None:
        """Why it does not go on at the moment."""
        self._update(why)
        self._say(why)

    def end(self, result: str) -> None:
        """The step is done."""
        if self._bar is not None:
            self._progress.remove_task(self._bar)
            self._bar = None
        taken = time.monotonic() - self._began
        self._console.print(f"{self._step}: {result} ({taken:.1f} s)", markup=False)

    def _update(self, note: str) -> None:
        if self._bar is not None:
            self._progress.update(self._bar, completed=self._done, pace=self._pace(), note=escape(note))

    def _pace(self) -> str:
        taken = time.monotonic() - self._began
        if not self._done or taken < 1:
            return ""
        pace = self._done / taken
        left = max(0.0, self._total - self._done) / pace
        return f", {pace:,.0f} a second, {left / 60:.0f} min left" if left > 90 else f", {pace:,.0f} a second"

    def _say(self, how_far: str) -> None:
        """A line for who reads a log."""
        if not self._console.is_terminal and time.monotonic() - self._said > _LINE_EVERY_SECONDS:
            self._said = time.monotonic()
            self._console.print(f"{self._step}: {how_far}", markup=False)
