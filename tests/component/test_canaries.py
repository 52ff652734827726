"""Secrets of every kind that redaction knows, wherever a container can put them: none is stored, logged or told."""

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.component.conftest import Stage
from tests.component.functions import Function, Sink, authorised, running, settings

Kind = Callable[[str], str]
HARMLESS = "what is no secret stays"
_TAG = re.compile(r"c4N([0-9]{4})x", re.IGNORECASE)
_numbers = itertools.count()


class Canaries:
    """Secrets, and where each was put. No other text has a piece of them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, ...]] = {}

    def new(self, *where: str) -> str:
        """Forty letters and digits; whatever piece of it leaks says from where."""
        number = next(_numbers)
        self._known[number] = where
        return f"c4N{number:04d}x" * 5

    def seen(self, text: str) -> list[tuple[str, ...]]:
        """From where something has come into the text."""
        return sorted({self._known[int(number)] for number in _TAG.findall(text) if int(number) in self._known})


# A text that holds the canary, as such secrets look.
SHAPES: dict[str, Kind] = {
    "github": lambda secret: f"ghp_{secret}",
    "github fine-grained": lambda secret: f"github_pat_{secret}",
    "gitlab": lambda secret: f"glpat-{secret}",
    "npm": lambda secret: f"npm_{secret}",
    "hugging face": lambda secret: f"hf_{secret}",
    "stripe": lambda secret: f"sk_live_{secret}",
    "google": lambda secret: f"AIza{secret}",
    "google oauth": lambda secret: f"ya29.{secret}",
    "slack": lambda secret: f"xoxb-{secret}",
    "aws id": lambda secret: f"AKIA{secret.upper()[:16]}",
    "openai": lambda secret: f"sk-proj-{secret}",
    "task token": lambda secret: f"fct_1_{secret}abc",
    "narrowed task token": lambda secret: f"fct_1_memory.task_{secret}abc",
    "jwt": lambda secret: f"eyJ{secret}.{secret}.{secret}",
    "discord": lambda secret: f"M{secret[:24]}.{secret[:6]}.{secret}",
}
TEXTS: dict[str, Kind] = {
    **SHAPES,
    "discord hook": lambda secret: f"https://discord.com/api/webhooks/123/{secret}",
    "slack hook": lambda secret: f"https://hooks.slack.com/services/T00/B00/{secret}",
    "bearer": lambda secret: f"curl -H 'Authorization: Bearer {secret}'",
    "basic": lambda secret: f"Authorization: Basic {secret}",
    "url": lambda secret: f"postgresql://app:{secret}@db:5432/app",
    "signed link": lambda secret: f"https://store/x?X-Amz-Credential={secret}&X-Amz-Signature={secret}",
    "query": lambda secret: f"GET /cb?access_token={secret}&x=1",
    "key": lambda secret: f"-----BEGIN PRIVATE KEY-----\n{secret}\n{secret}\n-----END PRIVATE KEY-----",
    "environment": lambda secret: f"HOME=/root\nPOSTGRES_PASSWORD={secret}\nexport API_KEY='{secret}'\nLANG=C",
    "ini": lambda secret: f"[db]\npassword = {secret}\n",
    "python": lambda secret: f'client(api_key="{secret}")',
    "flag": lambda secret: f"mysql --password {secret} --db-token={secret}",
    "sql": lambda secret: f"CREATE ROLE app PASSWORD '{secret}'",
    "yaml": lambda secret: f"db:\n  password: {secret}\n  user: app",
    "docker login": lambda secret: f'{{"auths": {{"r.io": {{"auth": "{secret}"}}}}}}',
    "secret": lambda secret: f"apiVersion: v1\nkind: Secret\ndata:\n  colour: {secret}\n  more: |\n    {secret}\n",
    "secret in clear": lambda secret: f"kind: Secret\nstringData:\n  colour: {secret}\n",
    "secret as json": lambda secret: json.dumps({"kind": "Secret", "data": {"colour": secret}}),
    "pod": lambda secret: f"env:\n- name: DB_PASSWORD\n  value: {secret}\n- name: B\n  value: ok",
    "applied": lambda secret: json.dumps(
        {"kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": {"a": secret}})}
    ),
}
NAMES = (
    "password",
    "DB_PASSWORD",
    "apiKey",
    "client_secret",
    "token",
    "Authorization",
    "private_key",
    "AWS_SECRET_KEY",
)


def said(text: str) -> str:
    return f"{HARMLESS}\n{text}\nand so it goes on"


# Events that carry a text somewhere.
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "progress": lambda text: {"eventType": "progress", "content": said(text)},
    "log": lambda text: {"eventType": "log", "content": said(text)},
    "a member": lambda text: {"eventType": "progress", "content": {"kind": "command", "output": said(text), "code": 1}},
    "deep inside": lambda text: {"eventType": "log", "content": [{"steps": [[said(text)], {"again": text}]}]},
    "an artifact's content": lambda text: {"eventType": "artifact", "content": {"name": text, "size": 1}},
    "snapshot before": lambda text: {"eventType": "snapshot", "snapshot": {"type": "before", "content": said(text)}},
    "snapshot after": lambda text: {"eventType": "snapshot", "snapshot": {"type": "after", "content": text}},
    "beside a snapshot": lambda text: {
        "eventType": "snapshot",
        "content": said(text),
        "snapshot": {"type": "after", "content": HARMLESS},
    },
    "beside usage": lambda text: {"eventType": "usage", "content": text, "usage": {"inputTokens": 1}},
}


@pytest.fixture(scope="module")
def callback(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    with running("callback", settings(stage.dsn, module_sink.url, folder), folder / "log") as function:
        yield function


class Container:
    """A run that tells its secrets."""

    def __init__(self, callback: Function, stage: Stage) -> None:
        self._callback = callback
        self.task, self.headers = stage.launch()
        self._last = 0

    def tell(self, *events: dict[str, Any]) -> None:
        """The answer is 200, so that each was recorded."""
        batch = [self._event(event) for event in events]
        answer = self.post("/events", json.dumps(batch).encode())
        assert answer == 200, answer

    def post(self, path: str, body: bytes, **headers: str) -> int:
        path = f"/v1/codex/tasks/{self.task}{path}"
        return self._callback.post(path, body, self.headers | headers).status

    def _event(self, event: dict[str, Any]) -> dict[str, Any]:
        self._last += 1
        return {"eventId": f"e{self._last}", "sequence": self._last, **event}


@pytest.fixture
def container(callback: Function, stage: Stage) -> Container:
    return Container(callback, stage)


def everything(callback: Function, stage: Stage, broker: Sink, folder: Path) -> str:
    """Every table, every event, the function's log, and the names of the files."""
    names = stage.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'codex_kb'")
    tables = "\n".join(
        row["text"]
        for name in names
        for row in stage.rows(f"SELECT t::text AS text FROM codex_kb.{name['tablename']} AS t")  # noqa: S608
    )
    binary = b"\n".join(bytes.fromhex(column) for column in re.findall(r"\\x((?:[0-9a-f]{2})+)", tables))
    events = "\n".join(f"{event}" for event in broker.events)
    files = "\n".join(str(path) for path in folder.rglob("*"))
    return "\n".join((tables, binary.decode(errors="replace"), events, callback.log.read_text(), files))


def test_no_secret_is_kept_wherever_in_an_event_it_stands(
    callback: Function, stage: Stage, broker: Sink, folder: Path, container: Container
) -> None:
    canaries = Canaries()
    for place, event in PLACES.items():
        container.tell(*(event(text(canaries.new(place, kind))) for kind, text in TEXTS.items()))
    found = everything(callback, stage, broker, folder)
    assert canaries.seen(found) == []
    assert found.count(HARMLESS) >= len(TEXTS) * 5
    assert found.count("[redacted:") >= len(TEXTS) * len(PLACES)


def test_no_secret_is_kept_whose_name_stands_beside_it(
    callback: Function, stage: Stage, broker: Sink, folder: Path, container: Container
) -> None:
    canaries = Canaries()
    forms: dict[str, Callable[[str, str], Any]] = {
        "an object": lambda name, secret: {name: secret},
        "an object inside": lambda name, secret: {"env": [{"at": {name: secret, "LANG": "C"}}]},
        "a pair": lambda name, secret: {"env": [{"name": name, "value": secret}]},
        "a list": lambda name, secret: {"env": ["LANG=C", f"{name}={secret}"]},
        "a dump": lambda name, secret: {"output": f"PATH=/bin\n{name}={secret}\nLANG=C"},
    }
    for place, form in forms.items():
        container.tell(*({"eventType": "log", "content": form(name, canaries.new(place, name))} for name in NAMES))
    assert canaries.seen(everything(callback, stage, broker, folder)) == []


def test_no_secret_is_kept_as_the_name_of_something(
    callback: Function, stage: Stage, broker: Sink, folder: Path, container: Container
) -> None:
    canaries = Canaries()
    for kind, shape in SHAPES.items():
        container.tell({"eventType": "log", "content": {shape(canaries.new("a member", kind)): HARMLESS}})
        usage = {
            "eventId": kind,
            "sequence": 1000,
            "eventType": "usage",
            "usage": {shape(canaries.new("a sum", kind)): 1},
        }
        assert container.post("/events", json.dumps(usage).encode()) in (200, 400, 422)
        for name in (
            f"{shape(canaries.new('a file', kind))}.txt",
            f"{shape(canaries.new('a folder', kind))}/notes.txt",
        ):
            file = {"name": name, "size": 0, "sha256": "0" * 64, "contentType": "text/plain"}
            assert container.post("/artifacts", json.dumps(file).encode()) in (201, 400, 422)
    assert canaries.seen(everything(callback, stage, broker, folder)) == []


@pytest.mark.parametrize("end", ["completed", "failed"])
def test_no_secret_is_kept_in_what_a_run_ends_with(
    callback: Function, stage: Stage, broker: Sink, folder: Path, end: str
) -> None:
    canaries = Canaries()
    for kind, text in TEXTS.items():
        Container(callback, stage).tell({"eventType": end, "content": said(text(canaries.new(kind)))})
    found = everything(callback, stage, broker, folder)
    assert canaries.seen(found) == []
    assert HARMLESS in found


def test_no_secret_of_a_request_that_is_refused_is_logged(
    callback: Function, stage: Stage, broker: Sink, folder: Path, container: Container
) -> None:
    canaries = Canaries()
    for kind, shape in SHAPES.items():

        def secret(place: str, shape: Kind = shape, kind: str = kind) -> str:
            return shape(canaries.new(place, kind))

        wrong = {"eventId": "e", "sequence": 1, "eventType": secret("a type")}
        encoding = {"Content-Encoding": secret("an encoding"), "traceparent": secret("a trace")}
        assert container.post("/events", b"{}", **authorised(secret("a token"))) == 401
        assert container.post(f"/{quote(secret('a path'))}", b"{}") == 404
        assert container.post(f"/events?token={quote(secret('a query'))}", b"{}") == 400
        assert container.post("/events", f'{{"eventId": "{secret("a broken body")}'.encode()) == 400
        assert container.post("/events", json.dumps(wrong).encode()) == 400
        assert container.post(f"/artifacts/{quote(secret('an id'))}/commit", b"") == 404
        assert container.post("/events", b"{}", **encoding) == 415
    assert canaries.seen(everything(callback, stage, broker, folder)) == []


def test_the_containers_own_token_is_not_kept(
    callback: Function, stage: Stage, broker: Sink, folder: Path, container: Container
) -> None:
    token = container.headers["Authorization"].removeprefix("Bearer ")
    encoded = base64.b64encode(f"x:{token}".encode()).decode()
    container.tell(
        {"eventType": "log", "content": f"the file holds {token}"},
        {"eventType": "progress", "content": {"argv": ["curl", "-H", f"Authorization: Bearer {token}"]}},
        {"eventType": "snapshot", "snapshot": {"type": "after", "content": f"CODEX_TOKEN={token}"}},
        {"eventType": "log", "content": f"Authorization: Basic {encoded}"},
    )
    found = everything(callback, stage, broker, folder)
    assert token not in found and token.rpartition("_")[2] not in found and encoded not in found
