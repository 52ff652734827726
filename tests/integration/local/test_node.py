"""The job launcher as a process that is killed at will, and what it tells the broker."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from shared.domain.job import Job, JobPhase, JobState
from shared.events.codec import decode
from shared.local.node import Node, safe_env
from shared.local.watchdog import TWIN_ID, members, reap
from shared.processes.jobs import ProcessJobs
from tests.integration.local.waiting import eventually
from tests.serving import serving

Spawn = Callable[[], "subprocess.Popen[bytes]"]
Posted = list[tuple[dict[str, str], bytes]]


@pytest.fixture
def posted() -> Posted:
    return []


@pytest.fixture
def broker(posted: Posted) -> Iterator[str]:
    """A stand-in broker that refuses the first event it sees and keeps the others."""
    refused = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if refused.is_set():
                posted.append((dict(self.headers), body))
            self.send_response(202 if refused.is_set() else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()
            refused.set()

        def log_message(self, *_: object) -> None:
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url


@pytest.fixture
def node(tmp_path: Path, broker: str) -> Iterator[Spawn]:
    """Starts node processes; whatever they started is ended with the test."""
    twin_id, nodes = str(uuid4()), []

    def spawn() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "shared.local.node", "--jobs", str(tmp_path / "jobs"), "--broker", broker]
        environment = {**os.environ, TWIN_ID: twin_id, "FACTEUR_TOKEN_SECRET": "keep me"}
        nodes.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        return nodes[-1]

    yield spawn
    reap(twin_id, grace=0)
    for process in nodes:
        process.wait()
    assert not members(TWIN_ID, twin_id)


@pytest.fixture
def jobs(tmp_path: Path) -> ProcessJobs:
    return ProcessJobs(tmp_path / "jobs")


def hand_over(jobs: ProcessJobs, job: Job) -> None:
    """A job that may run."""
    jobs.create(job)
    jobs.release(job.name)


def a_job(name: str, code: str, seconds: int = 600) -> Job:
    return Job(name, f"task-{name}", 1, seconds, (sys.executable, "-c", code))


def phase(jobs: ProcessJobs, name: str) -> JobPhase:
    state = jobs.look(name)
    assert state is not None
    return state.phase


def test_a_job_outlives_a_killed_node_and_ends_once(
    node: Spawn, jobs: ProcessJobs, tmp_path: Path, posted: Posted
) -> None:
    count, gate = tmp_path / "count", tmp_path / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)\n"
    hand_over(
        jobs, a_job("one", f"open({str(count)!r}, 'a').write('begun ')\n{wait}open({str(count)!r}, 'a').write('done')")
    )
    first = node()
    eventually(count.exists, "the job runs")
    first.kill()
    first.wait()
    node()
    gate.touch()
    eventually(lambda: phase(jobs, "one") is JobPhase.SUCCEEDED, "the job has succeeded")
    assert count.read_text() == "begun done"
    eventually(lambda: bool(posted), "the broker is told")


def test_a_job_that_ends_while_no_node_is_there_is_still_known(node: Spawn, jobs: ProcessJobs, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    hand_over(
        jobs, a_job("one", f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)\nexit(3)")
    )
    first = node()
    eventually(lambda: phase(jobs, "one") is JobPhase.RUNNING, "the job runs")
    first.kill()
    first.wait()
    gate.touch()
    eventually((tmp_path / "jobs" / "one" / "exit_code").exists, "the job has ended by itself")
    node()
    eventually(lambda: phase(jobs, "one") is JobPhase.FAILED, "the exit code is known")


def test_many_nodes_killed_in_turn_run_each_job_once(node: Spawn, jobs: ProcessJobs, tmp_path: Path) -> None:
    count = tmp_path / "count"
    names = [f"job-{number}" for number in range(12)]
    for name in names:
        hand_over(jobs, a_job(name, f"import time; time.sleep(0.1); open({str(count)!r}, 'a').write('x')"))
    for ended in (1, 4, 7):
        killed = node()
        eventually(lambda n=ended: sum(phase(jobs, name).final for name in names) >= n, "progress")  # type: ignore[misc]  # bound early
        killed.kill()
        killed.wait()
    node()
    eventually(lambda: all(phase(jobs, name) is JobPhase.SUCCEEDED for name in names), "all have succeeded")
    assert count.read_text() == "x" * len(names)


def test_a_job_that_vanished_is_lost_and_nothing_of_it_is_left(node: Spawn, jobs: ProcessJobs, tmp_path: Path) -> None:
    hand_over(jobs, a_job("one", "import time; time.sleep(300)"))
    node()
    eventually(lambda: phase(jobs, "one") is JobPhase.RUNNING, "the job runs")
    shim = json.loads((tmp_path / "jobs" / "one" / "started").read_text())["pid"]
    os.kill(shim, 9)
    eventually(lambda: phase(jobs, "one") is JobPhase.LOST, "the loss is seen")
    assert not members("FACTEUR_JOB", str(tmp_path / "jobs" / "one"))


def test_the_broker_is_told_of_the_end_as_a_strict_event(node: Spawn, jobs: ProcessJobs, posted: Posted) -> None:
    hand_over(jobs, a_job("one", "pass"))
    node()
    eventually(lambda: bool(posted), "the broker is told, at the second try")
    (event,) = decode(*posted[0])
    assert (event.type, event.source) == ("dev.knative.apiserver.ref.update", "/local/node")
    assert event.subject == "/apis/batch/v1/namespaces/default/jobs/one"
    assert json.loads(event.data or b"") == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "namespace": "default",
        "name": "one",
    }


def test_a_job_knows_nothing_of_the_nodes_environment(node: Spawn, jobs: ProcessJobs, tmp_path: Path) -> None:
    hand_over(jobs, a_job("one", "import os; print(sorted(os.environ)); print(os.getcwd())"))
    node()
    eventually(lambda: phase(jobs, "one") is JobPhase.SUCCEEDED, "the job has succeeded")
    names, cwd = (tmp_path / "jobs" / "one" / "output.log").read_text().splitlines()
    assert "FACTEUR_TOKEN_SECRET" not in names
    assert "PYTHONPATH" not in names
    assert Path(cwd) == tmp_path / "jobs" / "one" / "work"


def step(tmp_path: Path, at_once: int = 4) -> tuple[Node, list[JobState]]:
    """A node that works only when it is asked to, and what it said."""
    said: list[JobState] = []
    (tmp_path / "jobs").mkdir(exist_ok=True)
    return Node(tmp_path / "jobs", said.append, safe_env(), at_once=at_once), said


def until_all_ended(node: Node, jobs: ProcessJobs, watch: Callable[[], None] = lambda: None) -> None:
    def over() -> bool:
        node.tick()
        watch()
        return all(phase(jobs, name).final for name in jobs.names())

    eventually(over, "all jobs have ended")


def test_no_more_jobs_run_at_once_than_allowed(jobs: ProcessJobs, tmp_path: Path) -> None:
    node, said = step(tmp_path, at_once=2)
    gate = tmp_path / "gate"
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.02)"
    for number in range(5):
        hand_over(jobs, a_job(f"job-{number}", wait))
    most = 0

    def watch() -> None:
        nonlocal most
        most = max(most, sum(phase(jobs, name) is JobPhase.RUNNING for name in jobs.names()))

    def two_run() -> bool:
        node.tick()
        watch()
        return most == 2

    eventually(two_run, "two jobs run")
    for _ in range(20):  # a third one would be begun
        two_run()
    gate.touch()
    until_all_ended(node, jobs, watch)
    assert most == 2
    assert [state.name for state in said[:2]] != [] and len(said) == 5


def test_what_a_job_leaves_in_the_background_ends_with_it(jobs: ProcessJobs, tmp_path: Path) -> None:
    node, _ = step(tmp_path)
    sleeper = "[sys.executable, '-c', 'import time; time.sleep(300)']"
    escape = f"import subprocess, sys; subprocess.Popen({sleeper}, start_new_session=True)"
    hand_over(jobs, a_job("one", escape))
    until_all_ended(node, jobs)
    assert phase(jobs, "one") is JobPhase.SUCCEEDED
    assert not members("FACTEUR_JOB", str(tmp_path / "jobs" / "one"))


def test_the_kept_output_is_capped_and_the_job_goes_on(jobs: ProcessJobs, tmp_path: Path) -> None:
    node, _ = step(tmp_path)
    hand_over(jobs, a_job("one", "import sys; [sys.stdout.write('x' * 1000000) for _ in range(12)]"))
    until_all_ended(node, jobs)
    assert phase(jobs, "one") is JobPhase.SUCCEEDED
    log = tmp_path / "jobs" / "one" / "output.log"
    assert 10 * 1024 * 1024 <= log.stat().st_size < 10 * 1024 * 1024 + 100


def test_a_command_that_cannot_be_run_fails_and_says_so(jobs: ProcessJobs, tmp_path: Path) -> None:
    node, _ = step(tmp_path)
    hand_over(jobs, Job("one", "task-1", 1, 60, ("/nowhere/agent",)))
    hand_over(jobs, Job("two", "task-2", 1, 60, ()))
    until_all_ended(node, jobs)
    assert {phase(jobs, "one"), phase(jobs, "two")} == {JobPhase.FAILED}
    assert "cannot be run" in (tmp_path / "jobs" / "one" / "output.log").read_text()


def test_a_folder_that_is_no_job_hinders_no_other(jobs: ProcessJobs, tmp_path: Path) -> None:
    node, _ = step(tmp_path)
    hand_over(jobs, a_job("one", "pass"))
    (tmp_path / "jobs" / "broken").mkdir()
    eventually(lambda: node.tick() or phase(jobs, "one").final, "the job has ended")  # type: ignore[func-returns-value]
