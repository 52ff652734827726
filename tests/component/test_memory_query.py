"""memory-query over HTTP: what earlier tasks left, for those who may see it, with or without vectors."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from urllib3 import BaseHTTPResponse

from shared.domain.task import Target
from shared.domain.task_token import mint_task_token
from shared.embeddings.offline import OfflineEmbedder
from shared.embeddings.openai import OpenAIEmbedder
from shared.local.state import free_port
from shared.redis.connection import Connection
from shared.redis.pace import RedisPace
from tests.component.conftest import COLLEAGUE_TOKEN, NO_PROXY, STRANGER_TOKEN, Stage, api_tokens
from tests.component.functions import (
    READ_ONLY_TOKEN,
    TOKEN_SECRET,
    Function,
    authorised,
    running,
    settings,
)
from tests.contract.embedders.openai_server import KEY, Answer, OpenAIServer, openai_server, well

OFFLINE = "facteur-offline-lexical-v1:512"
ZIGGURAT = "Repair the ziggurat drainage pumps"


def environment(stage: Stage, folder: Path, redis_url: str) -> dict[str, str]:
    return settings(stage.dsn, "http://127.0.0.1:1", folder, redis_url) | {"FACTEUR_API_TOKENS": api_tokens()}


@pytest.fixture(scope="module")
def memory(stage: Stage, folder: Path, redis_url: str) -> Iterator[Function]:
    with running("memory-query", environment(stage, folder, redis_url), folder / "log") as function:
        yield function


@pytest.fixture(scope="module")
def earlier(stage: Stage) -> dict[str, UUID]:
    """What there is to remember."""
    deployment = Target("apps/v1", "Deployment", "temple", "pumps")
    return {
        "pumps": stage.remember(f"{ZIGGURAT} before the flood", repository="o/temple", targets=(deployment,)),
        "tax": stage.remember("File the quarterly tax return for accountants", repository="o/office"),
        "stranger": stage.remember(f"{ZIGGURAT} in secret", tenant="elsewhere"),
        "long": stage.remember("".join(f"Inventory entry {n} of the obsidian warehouse\n" for n in range(200))),
    }


Run = tuple[UUID, dict[str, str]]


@pytest.fixture(scope="module")
def run(stage: Stage, earlier: dict[str, UUID]) -> Run:
    """A run that asks, with the headers of its container."""
    return stage.launch(f"{ZIGGURAT} again")


def ask(memory: Function, run: Run, body: Any) -> BaseHTTPResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return memory.post(f"/v1/codex/tasks/{run[0]}/memory/query", raw, run[1])


def answer(response: BaseHTTPResponse) -> Any:
    assert response.status == 200, response.data
    return json.loads(response.data)


def tasks(document: Any) -> list[str]:
    return [result["provenance"]["taskId"] for result in document["results"]]


def exposed(stage: Stage, task: UUID) -> list[Any]:
    statement = "SELECT attempt, memory_id::text, channel, rank FROM codex_kb.memory_exposure WHERE task_id = %(task)s"
    return list(stage.rows(statement + " ORDER BY rank", task))


def test_a_run_asks_for_what_is_near_its_own_prompt(
    memory: Function, run: Run, earlier: dict[str, UUID], stage: Stage
) -> None:
    document = answer(memory.get(f"/v1/codex/tasks/{run[0]}/memory?limit=1", run[1]))
    assert (document["degraded"], document["model"]) == (False, OFFLINE)
    (result,) = document["results"]
    assert result.keys() == {"score", "scores", "snippet", "metadata", "provenance"}
    assert result["scores"].keys() == {"vector", "lexical", "outcome", "age"}
    assert 0.5 < result["scores"]["vector"] <= 1
    assert result["snippet"] == f"{ZIGGURAT} before the flood"
    assert 0.5 < result["score"] <= 1
    assert result["metadata"] == {
        "repository": "o/temple",
        "namespaces": ["temple"],
        "resourceKinds": ["Deployment"],
        "tags": [],
        "outcome": "prepared",
    }
    provenance = {name: result["provenance"][name] for name in ("taskId", "kind", "source", "trust", "attempt")}
    assert provenance == {
        "taskId": str(earlier["pumps"]),
        "kind": "prompt",
        "source": "prompt",
        "trust": "caller",
        "attempt": None,
    }
    assert result["provenance"].keys() == {*provenance, "memoryId", "createdAt"}
    (row,) = exposed(stage, run[0])
    assert (row["attempt"], row["channel"], row["rank"]) == (1, "query", 1)
    assert row["memory_id"] == result["provenance"]["memoryId"]


def test_a_text_finds_the_nearest_first(memory: Function, run: Run, earlier: dict[str, UUID]) -> None:
    document = answer(ask(memory, run, {"text": "quarterly tax return"}))
    assert tasks(document)[0] == str(earlier["tax"])
    scores = [result["score"] for result in document["results"]]
    assert scores == sorted(scores, reverse=True)


def test_a_vector_finds_what_its_text_would(memory: Function, run: Run, earlier: dict[str, UUID]) -> None:
    (vector,) = OfflineEmbedder().embed(["quarterly tax return"])
    by_text = answer(ask(memory, run, {"text": "quarterly tax return"}))
    assert tasks(answer(ask(memory, run, {"vector": vector}))) == tasks(by_text)
    scaled = [value * 1e6 for value in vector]
    tiny = [value * 1e-12 for value in vector]
    assert tasks(answer(ask(memory, run, {"vector": scaled}))) == tasks(by_text)
    assert tasks(answer(ask(memory, run, {"vector": tiny}))) == tasks(by_text)


@pytest.mark.parametrize("vector", [[1.0] * 511, [1.0], [0.0] * 512, [1e308] * 512], ids=["511", "1", "zero", "huge"])
def test_a_vector_that_cannot_be_compared_is_refused(memory: Function, run: Run, vector: list[float]) -> None:
    assert ask(memory, run, {"vector": vector}).status == 422


def test_each_task_is_answered_once_however_much_of_it_fits(
    memory: Function, run: Run, earlier: dict[str, UUID]
) -> None:
    found = tasks(answer(ask(memory, run, {"text": "inventory of the obsidian warehouse", "limit": 50})))
    assert found[0] == str(earlier["long"])
    assert len(found) == len(set(found)) == 3


def test_nothing_of_the_task_itself_and_of_other_tenants_is_answered(
    memory: Function, stage: Stage, run: Run, earlier: dict[str, UUID]
) -> None:
    stage.embed(run[0])
    for response in (
        ask(memory, run, {"text": ZIGGURAT, "limit": 50}),
        memory.get(f"/v1/codex/tasks/{run[0]}/memory?limit=50", run[1]),
        memory.get(f"/v1/codex/tasks/{run[0]}/memory?limit=50", authorised()),
    ):
        found = tasks(answer(response))
        assert str(earlier["pumps"]) in found
        assert str(earlier["stranger"]) not in found
        assert str(run[0]) not in found


def test_filters_narrow_the_answer(memory: Function, run: Run, earlier: dict[str, UUID]) -> None:
    pumps = [str(earlier["pumps"])]

    def found(**filters: Any) -> list[str]:
        return tasks(answer(ask(memory, run, {"text": ZIGGURAT, "filters": filters})))

    assert found(namespace="temple") == pumps
    assert found(resourceKind="Deployment") == pumps
    assert found(repository="o/temple") == pumps
    assert found(kind="prompt")[0] == pumps[0]
    assert found(namespace="temple", resourceKind="Pod") == []
    assert found(kind="outcome") == []
    assert found(tags=["none"]) == []
    assert found(outcome="succeeded") == []
    assert found(maxAgeDays=1, outcome="prepared", perTask=False)[0] == pumps[0]
    path = f"/v1/codex/tasks/{run[0]}/memory"
    assert tasks(answer(memory.get(f"{path}?namespace=temple", run[1]))) == pumps
    assert tasks(answer(memory.get(f"{path}?resourceKind=Pod", run[1]))) == []
    assert (
        tasks(answer(memory.get(f"{path}?repository=o/temple&outcome=prepared&maxAgeDays=1&limit=1", run[1]))) == pumps
    )
    assert tasks(answer(memory.get(f"{path}?tags=a,b&kind=prompt", run[1]))) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": "x", "vector": [1.0]},
        {"text": "  "},
        {"text": "x" * 20_001},
        {"text": "x", "limit": 0},
        {"text": "x", "limit": 51},
        {"text": "x", "filters": {"tenant": "elsewhere"}},
        {"text": "x", "filters": {"maxAgeDays": 0}},
        {"text": "x", "filters": {"maxAgeDays": 10**9}},
        {"text": "x", "filters": {"tags": ["a"] * 33}},
        {"text": "x", "filters": {"tags": "a"}},
        {"text": "x", "filters": {"kind": "x" * 501}},
        {"text": "x", "tenant": "elsewhere"},
        {"vector": ["a"]},
        {"vector": [0.0] * 4001},
        b'{"vector": [NaN]}',
        b"not json",
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_question_that_does_not_fit_is_refused(memory: Function, run: Run, body: Any) -> None:
    assert ask(memory, run, body).status == 400


@pytest.mark.parametrize("limit", ["0", "51", "-1", "many", "1e1", "٣"])
def test_a_limit_out_of_bounds_is_refused(memory: Function, run: Run, limit: str) -> None:
    response = memory.get(f"/v1/codex/tasks/{run[0]}/memory?limit={limit}", run[1])
    assert response.status == 400
    assert "1 to 50" in json.loads(response.data)["detail"]


def test_callers_of_the_api_see_their_own_tenant_and_are_not_counted(
    memory: Function, stage: Stage, earlier: dict[str, UUID]
) -> None:
    path = f"/v1/codex/tasks/{earlier['tax']}/memory"
    assert answer(memory.get(path, authorised(COLLEAGUE_TOKEN)))["results"]
    assert memory.get(path, authorised(STRANGER_TOKEN)).status == 404
    assert memory.get(f"/v1/codex/tasks/{uuid4()}/memory", authorised()).status == 404
    assert memory.get(path, authorised(READ_ONLY_TOKEN)).status == 403
    assert memory.get(path).status == 401
    assert exposed(stage, earlier["tax"]) == []


def test_the_token_of_another_task_or_attempt_does_not_fit(memory: Function, stage: Stage, run: Run) -> None:
    path = f"/v1/codex/tasks/{run[0]}/memory"
    _, headers = stage.launch()
    assert memory.get(path, headers).status == 401
    assert memory.get(path, authorised(mint_task_token(TOKEN_SECRET, run[0], 2))).status == 401


# --- Redis, and an embedding API with a key


@pytest.fixture(scope="module")
def api() -> Iterator[OpenAIServer]:
    with openai_server() as server:
        yield server


@pytest.fixture
def unheard(redis_url: str) -> Iterator[str]:
    """A Redis that knows of no pause and of no vector, and of none afterwards."""
    redis.Redis.from_url(redis_url).flushall()
    yield redis_url
    redis.Redis.from_url(redis_url).flushall()


def openai(env: dict[str, str], base_url: str) -> dict[str, str]:
    return env | {"OPENAI_API_KEY": KEY, "OPENAI_EMBEDDING_DIMENSION": "64", "OPENAI_BASE_URL": base_url, **NO_PROXY}


@pytest.fixture(scope="module")
def paid(openai_stage: Stage, api: OpenAIServer) -> dict[str, UUID]:
    """What there is to remember where the API makes the vectors."""
    client = OpenAIEmbedder(KEY, api.base_url, "text-embedding-3-large", 64)
    prompts = {"pumps": f"{ZIGGURAT} before the flood", "tax": "File the quarterly tax return for accountants"}
    known = {name: openai_stage.remember(prompt, client) for name, prompt in prompts.items()}
    client.close()
    return known


@pytest.fixture(scope="module")
def paid_run(openai_stage: Stage, paid: dict[str, UUID]) -> Run:
    return openai_stage.launch(f"{ZIGGURAT} again")


def test_a_question_is_embedded_once_even_by_another_process(
    openai_stage: Stage, paid: dict[str, UUID], paid_run: Run, api: OpenAIServer, folder: Path, redis_url: str
) -> None:
    env = openai(environment(openai_stage, folder, redis_url), api.base_url)
    api.requests.clear()
    for number in range(2):
        with running("memory-query", env, folder / f"log-cache-{number}") as function:
            for _ in range(2):
                document = answer(ask(function, paid_run, {"text": "a question asked four times"}))
                assert (document["degraded"], document["model"]) == (False, "text-embedding-3-large:64")
                assert set(tasks(document)) == {str(task) for task in paid.values()}
    assert [request["input"] for request in api.requests] == [["a question asked four times"]]


def test_a_credential_in_a_question_is_never_sent_to_the_api(
    openai_stage: Stage, paid_run: Run, api: OpenAIServer, folder: Path, redis_url: str
) -> None:
    secret = "ghp_" + "a1B2" * 9
    api.requests.clear()
    env = openai(environment(openai_stage, folder, redis_url), api.base_url)
    with running("memory-query", env, folder / "log-s") as asked:
        answer(ask(asked, paid_run, {"text": f"why does {secret} not work"}))
    assert secret not in json.dumps(api.requests) + (folder / "log-s").read_text()
    assert "why does" in json.dumps(api.requests)


def test_without_the_embedding_api_words_are_compared_and_that_is_said(
    openai_stage: Stage, paid_run: Run, paid: dict[str, UUID], folder: Path, unheard: str
) -> None:
    env = openai(environment(openai_stage, folder, unheard), f"http://127.0.0.1:{free_port()}/v1")
    with running("memory-query", env, folder / "log-degraded") as function:
        document = answer(ask(function, paid_run, {"text": "the ziggurat's pumps, and nothing else"}))
        assert document["degraded"] is True
        assert tasks(document) == [str(paid["pumps"])]
        assert 0 < document["results"][0]["score"] < 1
        narrowed = ask(function, paid_run, {"text": "ziggurat", "filters": {"namespace": "office"}})
        assert answer(narrowed)["results"] == []
        for odd in ("the of and", "&|!():*<->'\\", "a & b | !c", "🙂"):
            assert answer(ask(function, paid_run, {"text": odd}))["degraded"] is True


def test_an_api_that_hangs_is_asked_once_and_questions_are_soon_answered_by_words(
    openai_stage: Stage, paid_run: Run, paid: dict[str, UUID], api: OpenAIServer, folder: Path, unheard: str
) -> None:
    env = openai(environment(openai_stage, folder, unheard), api.base_url)
    try:
        with running("memory-query", env, folder / "log-hangs") as function:
            answer(ask(function, paid_run, {"text": "what loads the drivers, which takes time of its own"}))
            api.requests.clear()
            api.respond = lambda _: Answer(hang=True)
            for number in range(3):
                began = time.monotonic()
                document = answer(ask(function, paid_run, {"text": f"the ziggurat's pumps, {number}"}))
                assert (document["degraded"], tasks(document)) == (True, [str(paid["pumps"])])
                assert time.monotonic() - began < 8, "an API is given 3 seconds"
    finally:
        api.respond = well
    assert len(api.requests) == 1


def test_a_pause_that_another_process_was_told_is_kept(
    openai_stage: Stage, paid_run: Run, paid: dict[str, UUID], api: OpenAIServer, folder: Path, unheard: str
) -> None:
    env = openai(environment(openai_stage, folder, unheard), api.base_url)
    api.requests.clear()
    RedisPace(Connection(unheard), "text-embedding-3-large:64").failed(60)
    with running("memory-query", env, folder / "log-paused") as function:
        document = answer(ask(function, paid_run, {"text": "the ziggurat's pumps"}))
    assert (document["degraded"], api.requests) == (True, [])


def test_a_prompt_that_has_its_vector_is_not_embedded_again(
    openai_stage: Stage, paid: dict[str, UUID], api: OpenAIServer, folder: Path, unheard: str
) -> None:
    env = openai(environment(openai_stage, folder, unheard), api.base_url)
    api.requests.clear()
    with running("memory-query", env, folder / "log-known") as function:
        document = answer(function.get(f"/v1/codex/tasks/{paid['pumps']}/memory", authorised()))
    assert (document["degraded"], tasks(document)) == (False, [str(paid["tax"])])
    assert api.requests == []


def test_who_has_no_key_for_the_model_in_use_compares_words_and_vectors_that_are_given(
    openai_stage: Stage, paid_run: Run, paid: dict[str, UUID], folder: Path, redis_url: str
) -> None:
    with running("memory-query", environment(openai_stage, folder, redis_url), folder / "log-no-key") as function:
        document = answer(ask(function, paid_run, {"text": "the ziggurat's pumps, and nothing else"}))
        assert (document["degraded"], document["model"]) == (True, "text-embedding-3-large:64")
        assert tasks(document) == [str(paid["pumps"])]
        document = answer(ask(function, paid_run, {"vector": [1.0] * 64}))
        assert (document["degraded"], len(document["results"])) == (False, 2)
        assert ask(function, paid_run, {"vector": [1.0] * 512}).status == 422
    assert (folder / "log-no-key").read_text().count("facteur memory migrate --to") == 1


def test_without_redis_questions_are_still_answered(stage: Stage, run: Run, earlier: Any, folder: Path) -> None:
    env = environment(stage, folder, f"redis://:a-redis-password@127.0.0.1:{free_port()}")
    with running("memory-query", env, folder / "log-no-redis") as function:
        for _ in range(2):
            document = answer(ask(function, run, {"text": "quarterly tax return"}))
            assert (tasks(document)[0], document["degraded"]) == (str(earlier["tax"]), False)
        assert function.get("/readyz").status == 200
    log = (folder / "log-no-redis").read_text()
    assert "vector not cached" in log
    assert "a-redis-password" not in log
    assert "quarterly" not in log
