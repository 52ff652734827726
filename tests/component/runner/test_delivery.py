"""What was said is delivered once and in order, whatever happens to the callback and to the process."""

import json
import signal
import time

import pytest

from tests.component.runner.callback_server import Callback
from tests.component.runner.container import DEADLINE, Container, eventually

TALK = """
with Task.from_env() as task:
    task.progress("first")
    step("online")
    for number in range(250): task.progress(str(number))
    step("away")
    task.complete("done")
"""


def test_events_said_while_the_callback_is_away_arrive_once_and_in_order(
    callback: Callback, container: Container
) -> None:
    with container.start(TALK) as process:
        process.reached("online")
        callback.stop()
        process.go_on()
        process.reached("away")
        callback.start()
        process.go_on()
        assert process.wait() == 0
    assert callback.sequences == list(range(1, 253))
    assert callback.said("progress") == ["first", *map(str, range(250))]
    assert callback.kinds[-1] == "completed"
    assert callback.batches[1:] == [list(range(2, 102)), list(range(102, 202)), list(range(202, 252)), [252]]


@pytest.mark.parametrize("status", [500, 503, 404, 429])
def test_a_callback_that_answers_with_a_passing_fault_loses_nothing(
    callback: Callback, container: Container, status: int
) -> None:
    with container.start(TALK) as process:
        process.reached("online")
        callback.answer_with = status
        process.go_on()
        process.reached("away")
        callback.answer_with = None
        process.go_on()
        assert process.wait() == 0
    assert callback.sequences == list(range(1, 253))


def test_a_callback_that_hangs_holds_the_agent_up_once_and_loses_nothing(
    callback: Callback, container: Container
) -> None:
    # The longest report alone: what all of them take on disk is the machine's.
    timed = """
    longest = 0.0
    for number in range(250):
        began = time.monotonic()
        task.progress(str(number))
        longest = max(longest, time.monotonic() - began)
    print("longest", longest)
"""
    every = "    for number in range(250): task.progress(str(number))\n"
    assert every in TALK
    with container.start(TALK.replace(every, timed)) as process:
        process.reached("online")
        callback.hangs.set()
        process.go_on()
        process.reached("away")
        assert float(container.said.split("longest ")[1].split()[0]) < 15
        callback.hangs.clear()
        process.go_on()
        assert process.wait() == 0
    assert callback.sequences == list(range(1, 253))


def test_retry_after_is_obeyed(callback: Callback, container: Container) -> None:
    callback.answers, callback.retry_after = [429], 1
    assert container.run("with Task.from_env() as task: task.progress('busy'); task.log('more')") == 0
    assert callback.times[1] - callback.times[0] >= 0.9
    assert len(callback.requests) == 3
    assert callback.kinds == ["progress", "log", "completed"]


def test_a_killed_process_that_is_started_again_loses_nothing_it_was_promised(
    callback: Callback, container: Container
) -> None:
    with container.start(TALK) as process:
        process.reached("online")
        callback.stop()
        process.go_on()
        process.reached("away")
        process.send(signal.SIGKILL)
        process.wait()
    callback.start()
    assert container.run("with Task.from_env() as task: task.progress('again')") == 0
    assert callback.sequences == list(range(1, 254))
    assert callback.said("progress") == ["first", *map(str, range(250)), "again"]


def test_a_container_that_is_killed_a_second_after_its_start_has_lost_nothing_it_was_told_is_stored(
    callback: Callback, container: Container
) -> None:
    program = """
with Task.from_env() as task:
    for number in range(1, 1_000_000):
        task.log(str(number))
        print(number, flush=True)
"""
    with container.start(program) as process:
        eventually(lambda: _last(container) > 0, "the first event")
        time.sleep(1)
        process.send(signal.SIGKILL)
        process.wait()
    told = _last(container)  # nothing of it is started again, as in a pod that is gone with its volumes
    assert callback.said("log")[:told] == [str(number) for number in range(1, told + 1)]


def test_a_process_killed_again_and_again_loses_nothing_it_was_promised(
    callback: Callback, container: Container
) -> None:
    program = """
with Task.from_env() as task:
    number = 0
    while True:
        number += 1
        task.log(f"{sys.argv}{number}")
        print(f"{task._spool.last}", flush=True)
"""
    promised = 0
    for round_ in range(4):
        if round_ % 2:
            callback.stop()
        with container.start(program) as process:
            goal = promised + 5
            eventually(lambda goal=goal: goal <= _last(container), "five more")  # type: ignore[misc]
            process.send(signal.SIGKILL)
            process.wait()
        promised = _last(container)
        if round_ % 2:
            callback.start()
    assert container.run("with Task.from_env() as task: pass") == 0
    assert callback.sequences == list(range(1, len(callback.events) + 1))
    assert len(callback.events) > promised >= 20
    assert callback.kinds[-1] == "completed"


def _last(container: Container) -> int:
    whole = container.said.rpartition("\n")[0].split()
    return int(whole[-1]) if whole else 0


def test_gaps_that_the_callback_reports_are_filled_from_the_spool(callback: Callback, container: Container) -> None:
    callback.loses = {2, 3, 5}
    code = container.run("""
with Task.from_env() as task:
    for number in range(1, 7): task.progress(str(number))
""")
    assert code == 0
    assert sorted(callback.sequences) == list(range(1, 8))
    assert callback.kinds[-1] == "completed"


def test_a_gap_that_nothing_can_fill_holds_nothing_up(callback: Callback, container: Container) -> None:
    spool = container.folder / "spool"
    spool.mkdir()
    kept = {"eventId": "x-9", "sequence": 9, "eventType": "log", "content": "kept"}
    (spool / f"{container.env['CODEX_TASK_ID']}-1.ndjson").write_text(json.dumps(kept) + "\n")
    assert container.run("with Task.from_env() as task: task.progress('next')") == 0
    assert callback.sequences == [9, 10, 11]


def test_a_batch_that_is_too_large_is_split(callback: Callback, container: Container) -> None:
    with container.start(TALK) as process:
        process.reached("online")
        callback.stop()
        process.go_on()
        process.reached("away")
        callback.max_body = 2000
        callback.start()
        process.go_on()
        assert process.wait() == 0
    assert callback.sequences == list(range(1, 253))
    assert max(map(len, callback.batches)) == 12
    assert len(callback.requests) > len(callback.batches)


def test_one_event_that_is_refused_for_ever_does_not_hold_up_the_rest(callback: Callback, container: Container) -> None:
    callback.refuses = {2}
    code = container.run("""
with Task.from_env() as task:
    task.progress("fine")
    try: task.progress("refused")
    except Unacceptable as error: print(error)
    task.progress("fine too")
""")
    assert code == 0
    assert container.said.strip() == "what was sent is not accepted (422)"
    assert callback.sequences == [1, 2, 3, 4]
    assert callback.said("log") == ["an event was left out: what was sent is not accepted (422)"]


def test_a_callback_that_refuses_everything_ends_the_agent(callback: Callback, container: Container) -> None:
    callback.answer_with = 400
    assert container.run("with Task.from_env() as task: task.progress('x')") == 1
    assert "not accepted (400)" in container.said
    assert len(callback.requests) == 2


def test_patience_ends_at_the_deadline_and_the_next_start_delivers(callback: Callback, container: Container) -> None:
    callback.answer_with = 503
    container.set_deadline(1.0)
    assert container.run("with Task.from_env() as task: task.complete('kept')") == 1
    assert "the callback is away (the answer was 503): 1 events wait in the spool" in container.said
    callback.answer_with = None
    container.set_deadline(DEADLINE)
    assert container.run("with Task.from_env() as task: print('done twice')") == 1
    assert "this attempt has ended before" in container.said
    assert "done twice" not in container.said
    assert callback.said("completed") == ["kept"]


def test_a_full_disk_can_still_be_reported(callback: Callback, container: Container) -> None:
    code = container.run("""
import resource
with Task.from_env() as task:
    task.progress("small")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    while True: task.progress("x" * 100)
""")
    assert code == 1
    failure = "RunnerError: the spool cannot be written (File too large)"
    assert callback.said("failed") == [failure]
    assert callback.sequences == list(range(1, len(callback.events) + 1))


def test_two_processes_never_number_the_same_attempt(callback: Callback, container: Container) -> None:
    other = Container(container.folder / "other", callback)
    other.env["CODEX_SPOOL_DIR"] = container.env["CODEX_SPOOL_DIR"]
    with container.start("with Task.from_env() as task: step('open')") as process:
        process.reached("open")
        assert other.run("Task.from_env()") == 1
        assert "another process already reports for this attempt" in other.said
        process.go_on()
        assert process.wait() == 0


def test_without_a_folder_of_its_own_the_spool_lies_beside_the_working_folder(
    callback: Callback, container: Container
) -> None:
    del container.env["CODEX_SPOOL_DIR"]
    container.run("with Task.from_env() as task: pass")
    assert [file.suffix for file in (container.folder / ".codex-spool").iterdir()] == [".ndjson"]
    assert list(container.work.iterdir()) == []
    assert callback.kinds == ["completed"]


def test_threads_may_report_at_the_same_time(callback: Callback, container: Container) -> None:
    container.run("""
import threading
with Task.from_env() as task:
    threads = [threading.Thread(target=lambda: [task.heartbeat() for _ in range(10)]) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
""")
    assert callback.sequences == list(range(1, 42))
