"""What every door to jobs promises. A new implementation joins by one more entry in `HARNESSES`."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from shared.domain.errors import Rejected, Unavailable
from shared.domain.job import Job, JobPhase, JobState
from tests.contract.jobs.harnesses import HARNESSES, Harness


@pytest.fixture(params=HARNESSES)
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    with ExitStack() as stack:
        yield stack.enter_context(HARNESSES[request.param](tmp_path))  # type: ignore[arg-type]


def until(harness: Harness, true: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen"
        harness.work()
        time.sleep(0.02)


def ended(harness: Harness, name: str) -> JobState:
    """The job, once it is over."""
    until(harness, lambda: (state := harness.jobs.look(name)) and state.phase.final, f"the end of {name}")
    state = harness.jobs.look(name)
    assert state
    return state


def gone(harness: Harness, name: str) -> None:
    """Waits until nothing of the job runs any more, or is there any more."""

    def over() -> bool:
        state = harness.jobs.look(name)
        return state is None or state.phase is JobPhase.STOPPED

    until(harness, over, f"the stop of {name}")


def launch(harness: Harness, job: Job) -> None:
    harness.jobs.release(job.name, job.namespace, harness.jobs.create(job))


def phase(harness: Harness, name: str = "codex-1") -> JobPhase | None:
    state = harness.jobs.look(name)
    return state.phase if state else None


def test_a_job_runs_with_its_environment_and_files(harness: Harness) -> None:
    check = "import os; assert os.environ['COLOUR'] == 'blue'; f = open(os.environ['PROMPT_FILE']); "
    launch(harness, harness.a_job(check + "assert f.read() == 'do it'"))
    state = ended(harness, "codex-1")
    assert (state.name, state.task_id, state.attempt) == ("codex-1", "task-1", 1)
    assert (state.phase, state.reason) == (JobPhase.SUCCEEDED, "")


def test_a_job_that_is_not_released_does_not_run(harness: Harness, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    job = harness.a_job(f"open({str(ran)!r}, 'w')")
    made = harness.jobs.create(job)
    for _ in range(10):
        harness.work()
        time.sleep(0.02)
    assert phase(harness) is JobPhase.HELD
    assert not ran.exists()
    harness.jobs.release(job.name, job.namespace, made)
    ended(harness, job.name)
    assert ran.exists()


def test_creating_and_releasing_twice_is_once(harness: Harness, tmp_path: Path) -> None:
    count = tmp_path / "count"
    job = harness.a_job(f"open({str(count)!r}, 'a').write('x')")
    assert harness.jobs.create(job) == harness.jobs.create(job)
    for _ in range(2):
        launch(harness, job)
    assert [state.name for state in harness.jobs.all()] == ["codex-1"]
    ended(harness, "codex-1")
    launch(harness, job)
    harness.work()
    assert count.read_text() == "x"


def test_the_same_name_for_another_attempt_is_rejected(harness: Harness) -> None:
    harness.jobs.create(harness.a_job(attempt=1))
    with pytest.raises(Rejected):
        harness.jobs.create(harness.a_job(attempt=2))
    state = harness.jobs.look("codex-1")
    assert state
    assert (state.attempt, state.phase) == (1, JobPhase.HELD)


def test_an_unknown_job_is_none_and_everything_else_about_it_is_nothing(harness: Harness) -> None:
    assert harness.jobs.look("codex-9") is None
    for act in (harness.jobs.release, harness.jobs.stop, harness.jobs.discard, harness.jobs.retire):
        act("codex-9")
    assert harness.jobs.all() == []


def test_a_job_is_pending_until_the_machinery_takes_it(harness: Harness) -> None:
    launch(harness, harness.a_job())
    assert phase(harness) is JobPhase.PENDING


def test_a_job_stopped_before_its_release_never_runs(harness: Harness, tmp_path: Path) -> None:
    count = tmp_path / "count"
    job = harness.a_job(f"open({str(count)!r}, 'a').write('x')")
    made = harness.jobs.create(job)
    harness.jobs.stop("codex-1")
    with contextlib.suppress(Unavailable):
        harness.jobs.release(job.name, job.namespace, made)
    gone(harness, "codex-1")
    assert not count.exists()


def test_a_job_stopped_right_after_its_release_is_stopped(harness: Harness) -> None:
    """Whether it has begun by then is the machinery's to decide."""
    launch(harness, harness.a_job("import time; time.sleep(600)"))
    harness.jobs.stop("codex-1")
    gone(harness, "codex-1")


def running(harness: Harness, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    launch(harness, harness.a_job(f"import time; open({str(begun)!r}, 'w'); time.sleep(600)"))
    until(harness, begun.exists, "its start")
    until(harness, lambda: phase(harness) is JobPhase.RUNNING, "its running")


def test_a_job_stopped_while_it_runs_is_stopped(harness: Harness, tmp_path: Path) -> None:
    running(harness, tmp_path)
    harness.jobs.stop("codex-1")
    gone(harness, "codex-1")


def test_what_runs_is_not_discarded_and_what_is_held_is(harness: Harness, tmp_path: Path) -> None:
    running(harness, tmp_path)
    harness.jobs.discard("codex-1")
    harness.work()
    assert phase(harness) is JobPhase.RUNNING
    harness.jobs.create(harness.a_job(name="codex-2"))
    harness.jobs.discard("codex-2")
    gone(harness, "codex-2")


def test_what_is_retired_is_listed_no_more_and_can_still_be_looked_at(harness: Harness) -> None:
    launch(harness, harness.a_job())
    ended(harness, "codex-1")
    assert [state.name for state in harness.jobs.all()] == ["codex-1"]
    harness.jobs.retire("codex-1")
    assert harness.jobs.all() == []
    assert phase(harness) is JobPhase.SUCCEEDED


def test_a_failure_shows_its_exit_code(harness: Harness) -> None:
    launch(harness, harness.a_job("raise SystemExit(7)"))
    state = ended(harness, "codex-1")
    assert state.phase is JobPhase.FAILED
    assert "exit code 7" in state.reason


def test_a_job_past_its_deadline_expires(harness: Harness) -> None:
    launch(harness, harness.a_job("import time; time.sleep(600)", seconds=1))
    assert ended(harness, "codex-1").phase is JobPhase.EXPIRED


def test_a_name_that_is_no_dns_label_is_rejected(harness: Harness) -> None:
    for name in ("../up", "UPPER", "", "a" * 64, "-dash"):
        with pytest.raises(Rejected):
            harness.jobs.create(harness.a_job(name=name))


@pytest.mark.parametrize("harness", [name for name in HARNESSES if name not in ("memory", "processes")], indirect=True)
def test_what_was_made_is_what_is_released(harness: Harness) -> None:
    """A job that somebody deleted and made anew is not the one that was noted. Elsewhere nobody else makes jobs."""
    job = harness.a_job()
    assert harness.jobs.create(job)
    with pytest.raises(Unavailable):
        harness.jobs.release(job.name, job.namespace, "00000000-0000-4000-8000-000000000000")
    assert phase(harness) is JobPhase.HELD
