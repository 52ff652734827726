"""The end-to-end suite reaches a system as its variables say, and names every mistake in them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.e2e import target
from tests.e2e.system import System
from tests.e2e.target import Door, TargetError
from tests.serving import serving

STREAM = {"Content-Type": "text/event-stream"}
BASE = {target.BASE_URL: "http://127.0.0.1:8080/", target.TOKEN: "the-token"}


def test_one_url_in_front_of_everything_is_enough() -> None:
    found = target.read(BASE)
    door = Door("http://127.0.0.1:8080")
    assert (found.intake, found.discord, found.memory) == (door, door, door)
    assert found.broker == "http://127.0.0.1:8080/broker"


def test_with_a_suffix_every_function_has_a_name_at_the_same_address() -> None:
    found = target.read(BASE | {target.HOST_SUFFIX: "facteur.svc.cluster.local"})
    assert found.intake == Door("http://127.0.0.1:8080", "codex-intake.facteur.svc.cluster.local")
    assert found.discord == Door("http://127.0.0.1:8080", "discord-interaction.facteur.svc.cluster.local")
    assert found.memory == Door("http://127.0.0.1:8080", "memory-query.facteur.svc.cluster.local")
    assert found.broker == ""


def test_what_is_not_reached_from_here_is_said() -> None:
    none = dict.fromkeys((target.DISCORD_URL, target.MEMORY_URL, target.BROKER_URL), "none")
    found = target.read(BASE | none)
    assert (found.discord, found.memory, found.broker) == (None, None, "")
    with pytest.raises(TargetError):
        target.read(BASE | {target.INTAKE_URL: "none"})


def test_what_only_the_cluster_reaches_is_told() -> None:
    more = {
        target.HOST_SUFFIX: "facteur.example.org",
        target.MEMORY_URL: "http://127.0.0.1:8081",
        target.MEMORY_HOST: "memory-query.facteur.svc.cluster.local",
        target.BROKER_URL: "http://127.0.0.1:8082/facteur/facteur",
        target.DISCORD_URL: "https://discord.example.org",
    }
    found = target.read(BASE | more)
    assert found.memory == Door("http://127.0.0.1:8081", "memory-query.facteur.svc.cluster.local")
    assert found.broker == "http://127.0.0.1:8082/facteur/facteur"
    assert found.discord == Door("https://discord.example.org")


def test_every_mistake_is_named_and_no_secret() -> None:
    wrong = dict.fromkeys(target.VARIABLES, "not a value")
    with pytest.raises(TargetError) as raised:
        target.read(wrong | {target.TOKEN: "", target.DISCORD_KEY: "the seed"})
    said = str(raised.value)
    checked = [name for name in target.VARIABLES if name.endswith(("_URL", "_HOST", "_SUFFIX"))]
    assert [name for name in (*checked, target.TOKEN, target.DISCORD_KEY) if name not in said] == []
    assert "the seed" not in said and "the-token" not in repr(target.read(BASE))


Answer = tuple[int, dict[str, str], bytes]
NOTHING: Answer = (404, {"Content-Length": "0"}, b"")


@contextmanager
def listening(*answers: Answer) -> Iterator[tuple[str, list[Mapping[str, str]]]]:
    """A server that gives these answers, then nothing; it keeps the headers and the path that it is asked with."""
    asked: list[Mapping[str, str]] = []
    waiting = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append({**self.headers, "path": self.path})
            status, headers, body = waiting.pop(0) if waiting else NOTHING
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with serving(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, asked


def test_a_function_is_asked_by_its_own_name_and_a_store_by_the_name_that_was_signed() -> None:
    with listening() as (url, asked):
        more = {target.BASE_URL: url, target.HOST_SUFFIX: "example.org", target.ARTIFACTS_URL: url}
        system = System(target.read(BASE | more))
        assert system.show("7") == {}
        system.fetch("http://minio.internal:9000/bucket/tasks/7?X-Amz-Signature=1")
    assert [(one["Host"], one["path"], one.get("Authorization")) for one in asked] == [
        ("codex-intake.example.org", "/v1/codex/tasks/7", "Bearer the-token"),
        ("minio.internal:9000", "/bucket/tasks/7?X-Amz-Signature=1", None),
    ]


def test_a_stream_that_is_cut_off_is_taken_up_after_the_last_whole_entry() -> None:
    def said(number: int) -> bytes:
        return f'id: {number}\nevent: e\ndata: {{"id": "{number}"}}\n\n'.encode()

    whole, part = said(1), said(2)[:20]
    cut = b"%x\r\n%s\r\n%x\r\n%s" % (len(whole), whole, len(said(2)), part)
    answers = [
        (200, STREAM | {"Transfer-Encoding": "chunked"}, cut),
        (200, STREAM | {"Content-Length": str(len(said(2)))}, said(2)),
        (204, {}, b""),
    ]
    with listening(*answers) as (url, asked):
        told = System(target.read(BASE | {target.BASE_URL: url})).follow("7")
    assert [one.id for one in told] == ["1", "2"]
    assert [one.get("Last-Event-ID") for one in asked] == [None, "1", "2"]
