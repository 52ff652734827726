"""Ten thousand requests with task tokens that are foreign, expired, altered, replayed or fenced: none is accepted."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest

from shared.domain.task_token import Scope, mint_task_token, narrow
from shared.postgres.launches import PgLaunches
from shared.postgres.runs import PgRuns
from tests.component.conftest import Stage, api_tokens
from tests.component.functions import Sink, authorised, running, settings
from tests.component.token_attacks import CONTENT, OTHER_KEY, STATUSES, VERBS, Attack, Running, Verb, attacks
from tests.integration.postgres.conftest import launch
from tests.patience import PATIENCE

ATTEMPTS, THREADS = 10_000, 8
FUNCTIONS = ("callback", "memory-query", "codex-intake")
_TRACE = re.compile(rb'"trace_id":"[0-9a-f]{32}"')


class Doors:
    """The functions that take task tokens. Connections are kept, one for each thread and function."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = urls

    @contextmanager
    def session(self) -> Iterator["Session"]:
        session = Session(
            {name: HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE) for name, url in self.urls.items()}
        )
        try:
            yield session
        finally:
            session.close()

    def once(self, verb: Verb, task: UUID, artifact: str, header: str | bytes | None) -> "Answered":
        with self.session() as session:
            return session.ask(verb, task, artifact, header)


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Session:
    def __init__(self, connections: Mapping[str, HTTPConnection]) -> None:
        self._connections = connections

    def ask(self, verb: Verb, task: UUID, artifact: str, header: str | bytes | None) -> Answered:
        connection = self._connections[verb.function]
        path = f"/v1/codex/tasks/{task}{verb.path.format(artifact=artifact)}"
        headers: dict[str, Any] = {} if header is None else {"Authorization": header}
        try:
            return _read(connection, verb, path, headers)
        except (HTTPException, ConnectionError):  # a server that refuses a body may close what it kept
            connection.close()
            return _read(connection, verb, path, headers)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def _read(connection: HTTPConnection, verb: Verb, path: str, headers: Mapping[str, Any]) -> Answered:
    connection.request(verb.method, path, verb.body or None, headers)
    response: HTTPResponse = connection.getresponse()
    return Answered(response.status, dict(response.headers), response.read())


@contextmanager
def doors(dsn: str, sink: str, folder: Path) -> Iterator[Doors]:
    env = settings(dsn, sink, folder) | {"FACTEUR_API_TOKENS": api_tokens()}
    with ExitStack() as stack:
        functions = {name: stack.enter_context(running(name, env, folder / name)) for name in FUNCTIONS}
        yield Doors({name: function.url for name, function in functions.items()})


@pytest.fixture(scope="module")
def open_doors(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Doors]:
    with doors(stage.dsn, module_sink.url, folder) as opened:
        yield opened


@pytest.fixture
def run(stage: Stage, open_doors: Doors) -> Callable[[], Running]:
    """Makes tasks that run."""

    def make() -> Running:
        task, headers = stage.launch()
        (promise,) = (verb for verb in VERBS if verb.name == "promise")
        answer = open_doors.once(promise, task, "", headers["Authorization"])
        assert answer.status == 201, answer.body
        promised = json.loads(answer.body)
        _upload(open_doors, promised["upload"])
        return Running(task, headers["Authorization"].removeprefix("Bearer "), promised["artifactId"])

    return make


def _upload(doors: Doors, upload: Mapping[str, Any]) -> None:
    url = urlsplit(upload["url"])
    with closing(HTTPConnection(urlsplit(doors.urls["callback"]).netloc, timeout=PATIENCE)) as connection:
        connection.request("PUT", f"{url.path}?{url.query}", CONTENT, upload["headers"])
        assert connection.getresponse().status == 204


def contents(stage: Stage) -> dict[str, Any]:
    """What every table holds, as a digest."""
    names = stage.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'codex_kb' ORDER BY tablename")
    digests = {}
    for name in (row["tablename"] for row in names):
        digest = "md5(string_agg(row::text, ' ' ORDER BY row::text)) AS digest"
        (found,) = stage.rows(f"SELECT count(*) AS rows, {digest} FROM codex_kb.{name} AS row")  # noqa: S608
        digests[name] = dict(found)
    return digests


def test_ten_thousand_wrong_tokens_open_nothing_and_change_nothing(
    stage: Stage, open_doors: Doors, run: Callable[[], Running]
) -> None:
    live, foreign, fenced, over = run(), run(), run(), run()
    _replace(stage, fenced)
    _end_long_ago(stage, open_doors, over)
    tried = list(attacks(live, foreign, fenced, over))
    assert len(tried) >= ATTEMPTS
    random.Random(1).shuffle(tried)  # noqa: S311  # nobody must be unable to guess it
    before = contents(stage)
    with ThreadPoolExecutor(THREADS) as threads:
        shares = [tried[start::THREADS] for start in range(THREADS)]
        statuses = chain.from_iterable(threads.map(lambda share: _try(open_doors, share), shares))
        found = Counter(statuses)
    wrong = {what: times for what, times in found.items() if what[2] not in STATUSES.get(what[1], {401})}
    assert not wrong
    assert found.total() == len(tried)
    assert contents(stage) == before
    _accepted(open_doors, live, live.token)
    _accepted(open_doors, foreign, narrow(foreign.token, [*Scope]))


def _try(doors: Doors, share: Sequence[Attack]) -> list[tuple[str, str, int]]:
    with doors.session() as session:
        return [
            (one.verb.name, one.kind, session.ask(one.verb, one.task, one.artifact, one.header).status) for one in share
        ]


def _accepted(doors: Doors, run: Running, token: str) -> None:
    for verb in VERBS:
        answer = doors.once(verb, run.id, run.artifact, f"Bearer {token}")
        assert answer.status == verb.accepted, (verb.name, answer.body)


def _replace(stage: Stage, run: Running) -> None:
    """Another attempt of the task runs from now on."""
    opened = PgRuns(stage.database).open_by_id(run.id)
    assert opened and PgLaunches(stage.database).retry(opened.run, "lost", 0)
    assert launch(stage.database, run.id, "job-again").attempt == 2
    stage.clear_outbox()


def _end_long_ago(stage: Stage, doors: Doors, run: Running) -> None:
    """The run has ended, and so has the grace after it."""
    last = json.dumps({"eventId": "e1", "sequence": 1, "eventType": "completed"}).encode()
    end = Verb("end", "callback", Scope.EVENTS, "POST", "/events", last)
    assert doors.once(end, run.id, "", f"Bearer {run.token}").status == 200
    assert doors.once(end, run.id, "", f"Bearer {run.token}").status == 200, "a repeat within the grace"
    stage.change("UPDATE codex_kb.codex_tasks SET finished_at = now() - interval '2 hours' WHERE id = %(task)s", run.id)
    stage.clear_outbox()


def test_a_token_that_is_narrowed_opens_what_it_says_and_nothing_else(
    open_doors: Doors, run: Callable[[], Running]
) -> None:
    task = run()
    for scope in Scope:
        token = narrow(task.token, [scope])
        for verb in VERBS:
            status = open_doors.once(verb, task.id, task.artifact, f"Bearer {token}").status
            assert status == (verb.accepted if verb.scope == scope else 403), (scope, verb.name)


def test_an_unknown_task_and_a_wrong_token_are_answered_with_the_same_bytes(
    open_doors: Doors, run: Callable[[], Running]
) -> None:
    task, other = run(), run()
    for verb in VERBS:
        asked = [
            (uuid4(), task.token),
            (task.id, other.token),
            (task.id, task.token[:-1] + ("A" if task.token[-1] != "A" else "B")),
            (uuid4(), narrow(task.token, [*Scope])),
        ]
        answers = [open_doors.once(verb, id_, task.artifact, f"Bearer {token}") for id_, token in asked]
        assert {answer.status for answer in answers} == {401}, verb.name
        assert len({_TRACE.sub(b"", answer.body) for answer in answers}) == 1, verb.name
        assert len({tuple(_told(answer.headers)) for answer in answers}) == 1, verb.name


def _told(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers.items() if name.lower() != "date"]


def test_what_is_wrong_with_a_token_is_found_without_asking_the_database(
    open_doors: Doors, run: Callable[[], Running], folder: Path
) -> None:
    task = run()
    closed = folder / "closed"
    closed.mkdir()
    with doors("postgresql://facteur@127.0.0.1:1/none", "http://127.0.0.1:1", closed) as without:
        for verb in VERBS:
            for id_ in (task.id, uuid4()):
                wrong = authorised(mint_task_token(OTHER_KEY, id_, 1))["Authorization"]
                assert without.once(verb, id_, task.artifact, wrong).status == 401, verb.name
        with ThreadPoolExecutor(len(VERBS)) as threads:
            right = threads.map(lambda verb: without.once(verb, task.id, task.artifact, f"Bearer {task.token}"), VERBS)
            assert {answer.status for answer in right} == {503}
