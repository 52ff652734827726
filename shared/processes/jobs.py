"""Jobs as folders: a job is made by renaming its complete folder into place.

The launcher (`shared.local.node`) runs each released one once and writes `status.json` into it.

    <name>/job.json      what is to be run
    <name>/files/<ENV>   the files of the job, for the owner only
    <name>/work          the working directory of its process
    <name>/released      present once it may run
    <name>/stop          present once somebody asked to stop it
    <name>/retired       present once its end is known to be recorded
    <name>/status.json   written by the launcher alone: {"phase", "reason"}
"""

import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from shared.domain.errors import Rejected, Unavailable
from shared.domain.job import Job, JobPhase, JobState

NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*", re.ASCII)


class ProcessJobs:
    """The jobs below one folder. Every method may be repeated without harm."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def create(self, job: Job) -> str:
        """Make the job. One of that name is success if it is this task's attempt, else Rejected."""
        _check(job)
        with _disk():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self._folder / job.name).exists():
                self._place(job)
            found = read_job(self._folder / job.name)
        if (found.task_id, found.attempt) != (job.task_id, job.attempt):
            raise Rejected("A job of that name belongs to another attempt or task.")
        return ""

    def release(self, name: str, _namespace: str = "", _made: str = "") -> None:
        """Let it run."""
        self._mark(name, "released")

    def look(self, name: str, _namespace: str = "") -> JobState | None:
        """What became of the job; None where there is none."""
        with _disk():
            try:
                return read_state(self._folder / name) if NAME.fullmatch(name) else None
            except (FileNotFoundError, NotADirectoryError):
                return None

    def stop(self, name: str, _namespace: str = "") -> None:
        """Ask for its end. A job that is over, or that never was, stays as it is."""
        self._mark(name, "stop")

    def discard(self, name: str, _namespace: str = "") -> None:
        """Ask for its end if it was never released."""
        state = self.look(name)
        if state and state.phase is JobPhase.HELD:
            self.stop(name)

    def retire(self, name: str, _namespace: str = "") -> None:
        """Its end is recorded: nobody asks for it any more."""
        self._mark(name, "retired")

    def all(self, _namespaces: Collection[str] = ()) -> list[JobState]:
        """Every job that is not retired."""
        with _disk():
            active = [name for name in self.names() if not (self._folder / name / "retired").exists()]
            return [state for name in active if (state := self.look(name))]

    def ready(self) -> None:
        """Unavailable while the folder cannot be read."""
        self.names()

    def names(self) -> list[str]:
        """All jobs, those that are over included."""
        with _disk():
            if not self._folder.is_dir():
                return []
            return sorted(path.name for path in self._folder.iterdir() if NAME.fullmatch(path.name))

    def _mark(self, name: str, mark: str) -> None:
        with _disk():
            if NAME.fullmatch(name) and (self._folder / name).is_dir():
                (self._folder / name / mark).touch(mode=0o600)

    def _place(self, job: Job) -> None:
        draft = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        try:
            (draft / "work").mkdir(mode=0o700)
            (draft / "files").mkdir(mode=0o700)
            for variable, content in job.files.items():
                write_private(draft / "files" / variable, content)
            kept = {key: value for key, value in asdict(job).items() if key != "files"}
            write_private(draft / "job.json", json.dumps(kept))
            draft.rename(self._folder / job.name)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # placed by somebody else meanwhile
                raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def read_job(folder: Path) -> Job:
    """The job of this folder, without its files."""
    return Job(**json.loads((folder / "job.json").read_text()))


def read_state(folder: Path) -> JobState:
    """The state of the job in this folder; PENDING, or HELD, until the launcher wrote one."""
    job = read_job(folder)
    try:
        status = json.loads((folder / "status.json").read_text())
    except FileNotFoundError:
        released = (folder / "released").exists()
        status = {"phase": JobPhase.PENDING if released else JobPhase.HELD, "reason": ""}
    return JobState(job.name, job.task_id, job.attempt, JobPhase(status["phase"]), status["reason"])


def write_private(path: Path, text: str) -> None:
    """Write the file at once and as a whole, readable by its owner only."""
    draft = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
    draft.replace(path)


def _check(job: Job) -> None:
    if not NAME.fullmatch(job.name):
        raise Rejected("A job's name is a DNS label: at most 63 of a-z, 0-9 and '-'.")
    if not all(VARIABLE.fullmatch(variable) for variable in (*job.files, *job.env)):
        raise Rejected("A job's environment variables and files are named by A-Z, 0-9 and '_'.")
    if any("\0" in text for text in (*job.command, *job.env.values())):
        raise Rejected("A job's command and environment hold no U+0000.")
    if job.deadline_seconds <= 0:
        raise Rejected("A job's deadline is a positive number of seconds.")


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("The folder of the jobs cannot be read or written.", retry_after=5) from error
