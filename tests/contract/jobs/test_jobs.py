"""What every door to jobs promises. A new implementation joins by one more entry in `HARNESSES`."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pytest

from shared.domain.errors import Rejected
from shared.domain.job import Job, JobPhase, JobState
from shared.local.node import Node, safe_env
from shared.processes.jobs import ProcessJobs


class Jobs(Protocol):
    def create(self, job: Job) -> None: ...
    def look(self, name: str) -> JobState | None: ...
    def stop(self, name: str) -> None: ...
    def names(self) -> list[str]: ...


class Harness(Protocol):
    """A door, and the machinery behind it, which works only while `work` is called."""

    @property
    def jobs(self) -> Jobs: ...

    def work(self) -> None: ...


class Processes:
    """The door of the laptop with its launcher."""

    def __init__(self, folder: Path) -> None:
        self.jobs = ProcessJobs(folder)
        self._node = Node(folder, lambda _: None, safe_env())

    def work(self) -> None:
        self._node.tick()


HARNESSES: dict[str, Callable[[Path], Harness]] = {"processes": Processes}


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    (tmp_path / "jobs").mkdir()
    harness = HARNESSES[request.param](tmp_path / "jobs")
    yield harness
    for name in harness.jobs.names():
        harness.jobs.stop(name)
        ended(harness, name)


def python(code: str) -> Sequence[str]:
    return (sys.executable, "-c", code)


def a_job(code: str = "", name: str = "codex-1", attempt: int = 1, seconds: int = 30) -> Job:
    return Job(name, "task-1", attempt, seconds, python(code), {"COLOUR": "blue"}, {"PROMPT_FILE": "do it"})


def ended(harness: Harness, name: str) -> JobState:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        harness.work()
        state = harness.jobs.look(name)
        if state is not None and state.phase.final:
            return state
        time.sleep(0.02)
    raise AssertionError(f"{name} has not ended")


def test_a_job_runs_with_its_environment_and_files(harness: Harness) -> None:
    check = "import os; assert os.environ['COLOUR'] == 'blue'; f = open(os.environ['PROMPT_FILE']); "
    harness.jobs.create(a_job(check + "assert f.read() == 'do it'"))
    assert ended(harness, "codex-1") == JobState("codex-1", "task-1", 1, JobPhase.SUCCEEDED)


def test_creating_twice_is_once(harness: Harness, tmp_path: Path) -> None:
    count = tmp_path / "count"
    job = a_job(f"open({str(count)!r}, 'a').write('x')")
    harness.jobs.create(job)
    harness.jobs.create(job)
    assert harness.jobs.names() == ["codex-1"]
    ended(harness, "codex-1")
    harness.jobs.create(job)
    harness.work()
    assert count.read_text() == "x"


def test_the_same_name_for_another_attempt_is_rejected(harness: Harness) -> None:
    harness.jobs.create(a_job(attempt=1))
    with pytest.raises(Rejected):
        harness.jobs.create(a_job(attempt=2))


def test_an_unknown_job_is_none_and_stopping_it_is_nothing(harness: Harness) -> None:
    assert harness.jobs.look("codex-9") is None
    harness.jobs.stop("codex-9")
    assert harness.jobs.names() == []


def test_a_job_is_pending_until_the_machinery_takes_it(harness: Harness) -> None:
    harness.jobs.create(a_job())
    state = harness.jobs.look("codex-1")
    assert state is not None
    assert state.phase is JobPhase.PENDING


def test_a_job_stopped_before_its_start_never_runs(harness: Harness, tmp_path: Path) -> None:
    count = tmp_path / "count"
    harness.jobs.create(a_job(f"open({str(count)!r}, 'a').write('x')"))
    harness.jobs.stop("codex-1")
    assert ended(harness, "codex-1").phase is JobPhase.STOPPED
    assert not count.exists()


def test_a_job_stopped_while_it_runs_is_stopped(harness: Harness, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    harness.jobs.create(a_job(f"import time; open({str(begun)!r}, 'w'); time.sleep(60)"))
    deadline = time.monotonic() + 20
    while not begun.exists():
        assert time.monotonic() < deadline
        harness.work()
        time.sleep(0.02)
    harness.jobs.stop("codex-1")
    assert ended(harness, "codex-1").phase is JobPhase.STOPPED


def test_a_failure_shows_its_exit_code(harness: Harness) -> None:
    harness.jobs.create(a_job("raise SystemExit(7)"))
    state = ended(harness, "codex-1")
    assert state.phase is JobPhase.FAILED
    assert "exit code 7" in state.reason


def test_a_job_past_its_deadline_expires(harness: Harness) -> None:
    harness.jobs.create(a_job("import time; time.sleep(60)", seconds=1))
    state = ended(harness, "codex-1")
    assert state.phase is JobPhase.EXPIRED
    assert "1 s" in state.reason


def test_a_name_that_is_no_dns_label_is_rejected(harness: Harness) -> None:
    for name in ("../up", "UPPER", "", "a" * 64, "-dash"):
        with pytest.raises(Rejected):
            harness.jobs.create(a_job(name=name))
    assert harness.jobs.look("../up") is None
