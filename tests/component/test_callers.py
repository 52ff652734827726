"""Who may call a running function: tokens of a file that changes, and ServiceAccounts; and a start from a file."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from shared.cli.main import app
from tests.component.conftest import Stage
from tests.component.functions import API_TOKEN, Function, Sink, authorised, running, settings, start
from tests.component.kubernetes_api import AUDIENCE, KubernetesApi, jwt, kubernetes_api
from tests.patience import PATIENCE

BUILDER = "system:serviceaccount:ci:builder"
VISITOR = "system:serviceaccount:ci:visitor"
ACCOUNTS = {
    BUILDER: {"caller": "builder", "scopes": ["tasks:write", "tasks:read", "memory:read"]},
    VISITOR: {"caller": "visitor", "scopes": ["tasks:read"], "tenant": "elsewhere"},
}


def facteur(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[KubernetesApi]:
    with kubernetes_api(folder / "credentials") as running:
        yield running


@pytest.fixture(scope="module")
def tokens(folder: Path) -> Path:
    path = folder / "tokens.json"
    path.write_text("[]")
    return path


@pytest.fixture(scope="module")
def env(
    stage: Stage, module_sink: Sink, folder: Path, redis_url: str, tokens: Path, api: KubernetesApi
) -> dict[str, str]:
    return settings(stage.dsn, module_sink.url, folder, redis_url) | {
        "FACTEUR_API_TOKENS_FILE": str(tokens),
        "FACTEUR_TOKEN_REVIEW_CALLERS": json.dumps(ACCOUNTS),
        "FACTEUR_KUBERNETES_API_URL": api.url,
        "FACTEUR_KUBERNETES_CREDENTIALS_DIR": str(api.credentials),
    }


@pytest.fixture(scope="module")
def intake(env: dict[str, str], folder: Path) -> Iterator[Function]:
    with running("codex-intake", env, folder / "log-intake") as function:
        yield function


@pytest.fixture(scope="module")
def memory(env: dict[str, str], folder: Path) -> Iterator[Function]:
    with running("memory-query", env, folder / "log-memory") as function:
        yield function


def submitted(intake: Function, token: str) -> int:
    return intake.post("/v1/codex/tasks", b'{"prompt": "may I?"}', authorised(token)).status


def remembered(memory: Function, token: str) -> int:
    """404 for who may ask about a task that is not there."""
    return memory.get(f"/v1/codex/tasks/{uuid4()}/memory", authorised(token)).status


def test_a_new_token_works_at_once_and_a_revoked_one_no_longer(
    intake: Function, memory: Function, tokens: Path, folder: Path
) -> None:
    scopes = ("--scope", "tasks:write", "--scope", "memory:read")
    token = facteur("token", "new", "--caller", "ci", *scopes, "--file", str(tokens)).strip()
    assert (submitted(intake, token), remembered(memory, token)) == (202, 404)
    assert intake.get(f"/v1/codex/tasks/{uuid4()}", authorised(token)).status == 403
    listed = facteur("token", "list", "--file", str(tokens))
    facteur("token", "revoke", listed.splitlines()[1].split()[0], "--file", str(tokens))
    assert (submitted(intake, token), remembered(memory, token)) == (401, 401)
    assert submitted(intake, API_TOKEN) == 202
    assert token not in listed + (folder / "log-intake").read_text() + (folder / "log-memory").read_text()


def test_a_list_that_was_spoilt_changes_nothing(intake: Function, tokens: Path, folder: Path) -> None:
    token = facteur("token", "new", "--caller", "ci", "--scope", "tasks:write", "--file", str(tokens)).strip()
    assert submitted(intake, token) == 202
    good = tokens.read_text()
    tokens.write_text(good[:-20])
    assert [submitted(intake, token) for _ in range(3)] == [202] * 3
    assert (folder / "log-intake").read_text().count("is left unread") == 1
    tokens.write_text(good)
    assert submitted(intake, token) == 202


def test_a_service_account_calls_with_its_own_token(intake: Function, memory: Function, api: KubernetesApi) -> None:
    builder, visitor, stranger = jwt(secrets.token_hex(8)), jwt(secrets.token_hex(8)), jwt(secrets.token_hex(8))
    api.users |= {
        builder: (BUILDER, [AUDIENCE]),
        visitor: (VISITOR, [AUDIENCE]),
        stranger: ("system:serviceaccount:ci:stranger", [AUDIENCE]),
    }
    answer = intake.post("/v1/codex/tasks", b'{"prompt": "may I?"}', authorised(builder))
    task = json.loads(answer.data)["taskId"]
    shown = json.loads(intake.get(f"/v1/codex/tasks/{task}", authorised(builder)).data)
    assert shown["caller"] == "builder"
    assert intake.get(f"/v1/codex/tasks/{task}", authorised(visitor)).status == 404
    assert submitted(intake, visitor) == 403
    assert remembered(memory, builder) == 404
    assert api.asked.count(builder) == 2, "once for each function"
    refused = [intake.post("/v1/codex/tasks", b"{}", authorised(token)) for token in (stranger, jwt("none"), "wrong")]
    assert {answer.status for answer in refused} == {401}
    assert len({json.loads(answer.data)["detail"] for answer in refused}) == 1


def test_nobody_but_the_api_server_is_sent_a_token_and_it_is_sent_jwts_only(
    intake: Function, api: KubernetesApi
) -> None:
    api.asked.clear()
    for token in (API_TOKEN, "wrong", "fca_" + "x" * 43, "a.b.c", "eyJ"):
        submitted(intake, token)
    assert api.asked == []


def test_an_api_server_that_is_away_is_503_and_never_an_open_door(
    intake: Function, api: KubernetesApi, folder: Path
) -> None:
    api.broken = (500, b"")
    token = jwt(secrets.token_hex(8))
    try:
        answer = intake.post("/v1/codex/tasks", b'{"prompt": "may I?"}', authorised(token))
        assert (answer.status, submitted(intake, API_TOKEN)) == (503, 202)
        assert int(answer.headers["Retry-After"]) >= 1
    finally:
        api.broken = None
    assert submitted(intake, token) == 401
    assert token not in (folder / "log-intake").read_text()


# --- settings from a file

KEYS = {
    "FACTEUR_POSTGRES_DSN": ("postgres", "dsn"),
    "K_SINK": ("broker", "sink"),
    "FACTEUR_API_TOKENS": ("api_tokens",),
    "FACTEUR_CALLBACK_URL": ("callback_url",),
    "FACTEUR_MEMORY_URL": ("memory_url",),
}


def test_a_function_starts_from_a_file_and_the_environment_wins(stage: Stage, module_sink: Sink, folder: Path) -> None:
    environ = settings(stage.dsn, module_sink.url, folder)
    document: dict[str, object] = {"log_level": "DEBUG", "discord": {"public_key": "of no concern here"}}
    for name, (first, *rest) in KEYS.items():
        value = environ.pop(name)
        document[first] = {rest[0]: value} if rest else json.loads(value) if name == "FACTEUR_API_TOKENS" else value
    (folder / "facteur.yaml").write_text(json.dumps(document))
    environ |= {"FACTEUR_CONFIG_FILE": str(folder / "facteur.yaml"), "FACTEUR_MEMORY_URL": "http://memory.environment"}
    with running("codex-intake", environ, folder / "log-file") as function:
        answer = function.post("/v1/codex/tasks", b'{"prompt": "from a file"}', authorised())
    assert answer.status == 202
    assert json.loads(answer.data)["memoryEndpoint"]["url"].startswith("http://memory.environment/")


def test_a_wrong_file_fails_the_start_and_names_every_mistake(folder: Path) -> None:
    (folder / "wrong.yaml").write_text("postgress: {dsn: a-secret}\nredis: {url: a-secret}\nlog_level: loud\n")
    environ = {"FACTEUR_CONFIG_FILE": str(folder / "wrong.yaml"), "FACTEUR_TOKEN_SECRET": "a-secret"}
    function = start("memory-query", environ, folder / "log-wrong")
    assert function.process.wait(PATIENCE) == 2
    said = (folder / "log-wrong").read_text()
    assert said.count("\n") == 1
    for name in ("postgress", "redis.url", "log_level", "FACTEUR_POSTGRES_DSN", "FACTEUR_TOKEN_SECRET", "who may call"):
        assert name in said
    assert "a-secret" not in said
