"""What a container reports, under load and over time: lines, sums, gaps, pressure, grace and keys."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from urllib3 import BaseHTTPResponse

from shared.domain.task_token import GRACE_SECONDS, Scope, mint_task_token, narrow
from tests.component.conftest import Stage
from tests.component.functions import TOKEN_SECRET, Function, Sink, authorised, running, settings

Run = tuple[UUID, dict[str, str]]


@pytest.fixture(scope="module")
def callback(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("callback", settings(stage.dsn, module_sink.url, folder), folder / "log") as function:
        yield function


@pytest.fixture(scope="module")
def intake(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("codex-intake", settings(stage.dsn, module_sink.url, folder), folder / "log-intake") as function:
        yield function


@pytest.fixture(scope="module")
def memory(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("memory-query", settings(stage.dsn, module_sink.url, folder), folder / "log-memory") as function:
        yield function


@pytest.fixture
def run(stage: Stage) -> Run:
    return stage.launch()


def event(number: int, kind: str = "progress", **more: Any) -> dict[str, Any]:
    return {"eventId": f"e{number}", "sequence": number, "eventType": kind, "content": f"step {number}", **more}


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in events)


def send(callback: Function, run: Run, body: bytes, **headers: str) -> BaseHTTPResponse:
    return callback.post(f"/v1/codex/tasks/{run[0]}/events", body, run[1] | headers)


def recorded(callback: Function, run: Run, *events: Any) -> dict[str, Any]:
    answer = send(callback, run, json.dumps(events).encode())
    assert answer.status == 200, answer.data
    document: dict[str, Any] = json.loads(answer.data)
    return document


def stored(stage: Stage, run: Run) -> list[tuple[int, Any]]:
    rows = stage.rows(
        "SELECT sequence, content FROM codex_kb.codex_task_events WHERE task_id = %(task)s ORDER BY sequence", run[0]
    )
    return [(row["sequence"], row["content"]) for row in rows]


def age(stage: Stage, run: Run, seconds: float) -> None:
    stage.change(
        "UPDATE codex_kb.codex_tasks SET finished_at = finished_at - %(seconds)s * interval '1 second' "
        "WHERE id = %(task)s",
        run[0],
        seconds=seconds,
    )


# --- forms of a batch


@pytest.mark.parametrize("kind", ["application/x-ndjson", "application/jsonl; charset=utf-8"])
def test_a_batch_may_come_as_lines(callback: Function, stage: Stage, run: Run, kind: str) -> None:
    body = b"\n" + lines(event(1, content="Grüße ☃ \u2028"), event(2)) + b"\r\n" + json.dumps(event(3)).encode()
    answer = send(callback, run, body, **{"Content-Type": kind})
    assert json.loads(answer.data) == {"accepted": 3, "duplicates": 0, "gaps": [], "status": "running"}
    assert stored(stage, run) == [(1, "Grüße ☃ \u2028"), (2, "step 2"), (3, "step 3")]


@pytest.mark.parametrize(
    "body", [b"", b"\n\n", lines(*(event(n) for n in range(1, 502))), lines(event(1)) + b'{"eventId": "e2"', b"[1]\n"]
)
def test_lines_that_do_not_fit_are_refused_and_none_of_them_recorded(
    callback: Function, stage: Stage, run: Run, body: bytes
) -> None:
    assert send(callback, run, body, **{"Content-Type": "application/x-ndjson"}).status == 400
    assert stored(stage, run) == []


def test_a_batch_of_a_mebibyte_is_taken_and_a_larger_one_is_not(callback: Function, stage: Stage, run: Run) -> None:
    texts = ["ä\n" * 80_000, "x" * (1 << 19)]
    body = lines(*(event(n, content=text) for n, text in enumerate(texts, 1)))
    assert send(callback, run, body, **{"Content-Type": "application/x-ndjson"}).status == 200
    assert [content for _, content in stored(stage, run)] == texts
    assert send(callback, run, body + b" " * (1 << 20), **{"Content-Type": "application/x-ndjson"}).status == 413


# --- sums and gaps


def test_usage_adds_up_over_events_and_repeats_and_is_told_in_the_status(
    callback: Function, intake: Function, run: Run
) -> None:
    first = event(1, "usage", content=None, usage={"inputTokens": 1200, "costUsd": 0.1})
    second = event(2, "usage", content=None, usage={"inputTokens": 34, "outputTokens": 5, "costUsd": 0.2})
    recorded(callback, run, first)
    recorded(callback, run, first, second, event(3, "completed", usage={"outputTokens": 1}))
    recorded(callback, run, second)
    status = json.loads(intake.get(f"/v1/codex/tasks/{run[0]}", authorised()).data)
    assert status["usage"] == {"inputTokens": 1234, "outputTokens": 6, "costUsd": 0.3}


@pytest.mark.parametrize(
    "usage",
    [{"tokens": -1}, {"tokens": 1e16}, {"bad name": 1}, {"": 1}, {"x" * 65: 1}, {f"n{n}": 1 for n in range(51)}],
    ids=lambda usage: str(usage)[:20],
)
def test_usage_that_could_not_be_added_is_refused(callback: Function, run: Run, usage: dict[str, float]) -> None:
    assert send(callback, run, json.dumps(event(1, "usage", usage=usage)).encode()).status == 400


def test_gaps_are_found_behind_what_is_complete_in_any_order(callback: Function, run: Run) -> None:
    assert recorded(callback, run, *(event(n) for n in range(1, 101)))["gaps"] == []
    assert recorded(callback, run, event(150), event(103))["gaps"] == [[101, 102], [104, 149]]
    assert recorded(callback, run, event(150))["gaps"] == [[101, 102], [104, 149]]
    assert recorded(callback, run, event(102), event(101))["gaps"] == [[104, 149]]
    assert recorded(callback, run, *(event(n) for n in range(104, 150)))["gaps"] == []
    assert recorded(callback, run, event(152))["gaps"] == [[151, 151]]


def test_many_gaps_are_told_a_hundred_at_a_time(callback: Function, run: Run) -> None:
    gaps = recorded(callback, run, *(event(2 * n) for n in range(1, 201)))["gaps"]
    assert gaps == [[2 * n - 1, 2 * n - 1] for n in range(1, 101)]
    assert len(recorded(callback, run, *(event(2 * n - 1) for n in range(1, 101)))["gaps"]) == 100


def test_a_heartbeat_says_when_the_container_was_last_heard_of(callback: Function, intake: Function, run: Run) -> None:
    def heard() -> Any:
        return json.loads(intake.get(f"/v1/codex/tasks/{run[0]}", authorised()).data)["lastReportAt"]

    assert heard() is None
    recorded(callback, run, event(1, "heartbeat", content=None))
    first = heard()
    recorded(callback, run, event(2, "heartbeat", content=None))
    assert first is not None
    assert heard() > first


# --- attempts and the end


def test_a_later_attempt_counts_its_events_anew_and_the_earlier_one_is_fenced(
    callback: Function, stage: Stage, run: Run
) -> None:
    recorded(callback, run, *(event(n) for n in range(1, 6)))
    stage.change("UPDATE codex_kb.codex_tasks SET attempt = 2 WHERE id = %(task)s", run[0])
    second = (run[0], authorised(mint_task_token(TOKEN_SECRET, run[0], 2)))
    assert recorded(callback, second, event(2, eventId="second-2"))["gaps"] == [[1, 1]]
    assert send(callback, run, json.dumps(event(6)).encode()).status == 409
    assert recorded(callback, second, event(1, eventId="second-1"))["gaps"] == []


def test_after_the_end_a_repeat_is_confirmed_and_anything_new_refused_until_the_grace_is_over(
    callback: Function, stage: Stage, run: Run
) -> None:
    last = event(1, "completed")
    recorded(callback, run, last)
    assert recorded(callback, run, last)["status"] == "succeeded"
    assert send(callback, run, json.dumps(event(2)).encode()).status == 409
    age(stage, run, GRACE_SECONDS + 60)
    for body in (last, event(2)):
        answer = send(callback, run, json.dumps(body).encode())
        assert (answer.status, json.loads(answer.data)["type"]) == (401, "urn:facteur:problem:unauthenticated")


def test_of_copies_of_the_last_batch_that_come_at_once_all_are_answered_and_one_counts(
    callback: Function, stage: Stage
) -> None:
    for _ in range(10):
        run = stage.launch()
        body = json.dumps([event(1), event(2, "completed")]).encode()
        answers: list[BaseHTTPResponse] = []
        copies = [threading.Thread(target=lambda: answers.append(send(callback, run, body))) for _ in range(3)]  # noqa: B023
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()
        assert [answer.status for answer in answers] == [200] * 3
        assert sum(json.loads(answer.data)["accepted"] for answer in answers) == 2


# --- pressure


def test_a_task_that_sends_too_much_at_once_is_told_when_to_come_again(
    callback: Function, stage: Stage, run: Run
) -> None:
    with stage.locked(run[0]):
        statuses: list[tuple[int, str | None]] = []

        def one(number: int) -> None:
            answer = send(callback, run, json.dumps(event(number)).encode())
            statuses.append((answer.status, answer.headers.get("Retry-After")))

        copies = [threading.Thread(target=one, args=(number,)) for number in range(1, 9)]
        for copy in copies:
            copy.start()
        for copy in copies:
            copy.join()
    # Five find three inside; those give up their place when the row stays locked.
    assert statuses == [(429, "1")] * 8
    assert stored(stage, run) == []
    assert recorded(callback, run, event(1))["accepted"] == 1


# --- scopes and keys


def narrowed(run: Run, *scopes: Scope) -> dict[str, str]:
    return authorised(narrow(mint_task_token(TOKEN_SECRET, run[0], 1), scopes))


def test_a_narrowed_token_reads_and_does_not_report(
    callback: Function, intake: Function, memory: Function, stage: Stage, run: Run
) -> None:
    reader = narrowed(run, Scope.MEMORY, Scope.TASK)
    task = f"/v1/codex/tasks/{run[0]}"
    assert memory.get(f"{task}/memory", reader).status == 200
    assert intake.get(task, reader).status == 200
    assert send(callback, (run[0], reader), json.dumps(event(1)).encode()).status == 403
    assert callback.post(f"{task}/artifacts", b"{}", reader).status == 403
    assert send(callback, (run[0], narrowed(run, Scope.EVENTS)), json.dumps(event(1)).encode()).status == 200
    assert memory.get(f"{task}/memory", narrowed(run, Scope.EVENTS, Scope.TASK)).status == 403
    assert intake.get(task, narrowed(run, Scope.EVENTS)).status == 403


def test_a_container_reads_its_own_task_and_nothing_else_of_the_api(intake: Function, stage: Stage, run: Run) -> None:
    task, token = run
    status = json.loads(intake.get(f"/v1/codex/tasks/{task}", token).data)
    assert (status["taskId"], status["status"], status["attempts"]) == (str(task), "running", 1)
    other, _ = stage.launch()
    for path in (f"/v1/codex/tasks/{other}", "/v1/codex/tasks", f"/v1/codex/tasks/{task}/timeline"):
        assert intake.get(path, token).status == 401, path
    assert intake.post(f"/v1/codex/tasks/{task}/cancel", b"", token).status == 401
    assert intake.post("/v1/codex/tasks", b'{"prompt": "a task of my own"}', token).status == 401


def test_what_a_container_may_read_ends_with_its_attempt_and_its_grace(
    callback: Function, intake: Function, memory: Function, stage: Stage
) -> None:
    fenced, ended = stage.launch(), stage.launch()
    stage.change("UPDATE codex_kb.codex_tasks SET attempt = 2 WHERE id = %(task)s", fenced[0])
    recorded(callback, ended, event(1, "completed"))
    for function, path in ((intake, ""), (memory, "/memory")):
        assert function.get(f"/v1/codex/tasks/{fenced[0]}{path}", fenced[1]).status == 401
        assert function.get(f"/v1/codex/tasks/{ended[0]}{path}", ended[1]).status == 200
    age(stage, ended, GRACE_SECONDS + 60)
    for function, path in ((intake, ""), (memory, "/memory")):
        assert function.get(f"/v1/codex/tasks/{ended[0]}{path}", ended[1]).status == 401


def test_the_key_is_changed_without_a_running_container_noticing(
    stage: Stage, module_sink: Sink, folder: Path, run: Run
) -> None:
    new = {"FACTEUR_TOKEN_SECRET": "a-new-key-of-task-tokens-for-the-next-year"}
    changed = settings(stage.dsn, module_sink.url, folder) | new
    with running("callback", changed | {"FACTEUR_TOKEN_SECRET_PREVIOUS": TOKEN_SECRET}, folder / "log-both") as both:
        recorded(both, run, event(1))
        own = authorised(mint_task_token(new["FACTEUR_TOKEN_SECRET"], run[0], 1))
        recorded(both, (run[0], own), event(2))
    with running("callback", changed, folder / "log-new") as after:
        assert send(after, run, json.dumps(event(3)).encode()).status == 401
        recorded(after, (run[0], own), event(3))
