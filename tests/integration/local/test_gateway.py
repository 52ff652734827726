"""The gateway in front of stand-in functions."""

import asyncio
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from aiohttp import web

from shared.local.gateway import ARTIFACT_BYTES, BODY_BYTES, Gateway
from shared.local.state import free_port
from shared.local.supervisor import GRACE_SECONDS
from tests.integration.local.waiting import eventually

NAMES = ("codex-intake", "callback", "memory-query", "discord-interaction", "broker")


class Loop:
    """An event loop in a thread, with servers that can come and go."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._runners: list[web.AppRunner] = []
        self._thread.start()

    def serve(self, app: web.Application, port: int = 0) -> int:
        """The port that it serves on: a free one unless given."""

        async def begin() -> int:
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.2)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port).start()
            self._runners.append(runner)
            taken: int = runner.addresses[0][1]
            return taken

        return asyncio.run_coroutine_threadsafe(begin(), self._loop).result(60)

    def close(self) -> None:
        async def end() -> None:
            for runner in self._runners:
                await runner.cleanup()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def echo(name: str) -> web.Application:
    """Answers with what it got; /v1/codex/tasks/stream/timeline answers in two pieces."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == "/v1/codex/tasks/stream/timeline":
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b"data: 1\n\n")
            await asyncio.sleep(3600)
            return response
        body = await request.read()
        got = {"by": name, "path": request.raw_path, "headers": dict(request.headers), "size": len(body)}
        return web.json_response(got, status=201, headers={"Connection": "close", "X-Answer": "yes"})

    app = web.Application(client_max_size=ARTIFACT_BYTES)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def ports() -> dict[str, int]:
    """Where nobody listens yet."""
    return {name: free_port() for name in NAMES}


@pytest.fixture
def gateway(loop: Loop) -> int:
    return _gateway(loop, {name: loop.serve(echo(name)) for name in NAMES})


def _gateway(loop: Loop, ports: dict[str, int]) -> int:
    upstreams = {name: f"http://127.0.0.1:{ports[name]}" for name in NAMES}
    return loop.serve(Gateway(upstreams).application())


def ask(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], dict[str, object]]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), json.loads(answer.read() or b"{}")


@pytest.mark.parametrize(
    ("path", "function"),
    [
        ("/codex/tasks", "codex-intake"),
        ("/v1/codex/tasks", "codex-intake"),
        ("/v1/codex/tasks?limit=1", "codex-intake"),
        ("/v1/codex/tasks/7", "codex-intake"),
        ("/v1/codex/tasks/7/timeline", "codex-intake"),
        ("/v1/codex/tasks/7/cancel", "codex-intake"),
        ("/v1/codex/tasks/7/verdict", "codex-intake"),
        ("/v1/memory/lift", "memory-query"),
        ("/v1/codex/tasks/7/events", "callback"),
        ("/v1/codex/tasks/7/artifacts", "callback"),
        ("/v1/codex/tasks/7/artifacts/8/commit", "callback"),
        ("/v1/codex/tasks/7/artifacts/8", "codex-intake"),
        ("/v1/artifacts/a/b%20c?sig=1", "callback"),
        ("/v1/codex/tasks/7/memory", "memory-query"),
        ("/v1/codex/tasks/7/memory/query", "memory-query"),
        ("/interactions", "discord-interaction"),
    ],
)
def test_each_public_path_reaches_its_function_unchanged(gateway: int, path: str, function: str) -> None:
    status, headers, got = ask(gateway, "POST", path, b"12345")
    assert (status, got["by"], got["path"], got["size"]) == (201, function, path, 5)
    assert headers["X-Answer"] == "yes"


def test_an_event_reaches_the_broker(gateway: int) -> None:
    assert ask(gateway, "POST", "/broker", b"{}")[2]["by"] == "broker"


@pytest.mark.parametrize("path", ["/dead-letters", "/readyz", "/broker/ping", "/v1/codex", "/v1/codex/tasks/7/other"])
def test_a_path_that_is_not_public_is_404(gateway: int, path: str) -> None:
    status, headers, body = ask(gateway, "POST", path)
    assert (status, headers["Content-Type"]) == (404, "application/problem+json; charset=utf-8")
    assert "127.0.0.1" not in json.dumps(body)


def test_the_index_and_the_health_are_the_gateways_own(gateway: int) -> None:
    assert "tasks" in str(ask(gateway, "GET", "/")[2]["urls"])
    assert ask(gateway, "GET", "/healthz")[2] == {"status": "ok"}


def test_forwarding_headers_from_outside_are_not_believed(gateway: int) -> None:
    claims = {"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1", "X-Forwarded-Prefix": "/admin"}
    hop = {"Connection": "X-Hop", "X-Hop": "1", "Authorization": "Bearer t"}
    got = ask(gateway, "GET", "/v1/codex/tasks", headers=claims | hop)[2]["headers"]
    assert isinstance(got, dict)
    assert "10.0.0.1" not in str(got)
    assert not {"X-Forwarded-Prefix", "X-Hop", "Forwarded"} & got.keys()
    assert (got["X-Forwarded-For"], got["Authorization"]) == ("127.0.0.1", "Bearer t")


def test_a_body_over_the_cap_is_413(gateway: int) -> None:
    assert ask(gateway, "POST", "/codex/tasks", b"x" * BODY_BYTES)[2]["size"] == BODY_BYTES
    assert ask(gateway, "POST", "/codex/tasks", headers={"Content-Length": str(BODY_BYTES + 1)})[0] == 413


def test_a_chunked_body_over_the_cap_is_413(gateway: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", gateway, timeout=60)) as connection:
        pieces = iter([b"x" * 65536] * (BODY_BYTES // 65536 + 1))
        connection.request(
            "POST", "/codex/tasks", pieces, encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
        )
        assert connection.getresponse().status == 413


def test_an_artifact_may_be_larger(gateway: int) -> None:
    assert ask(gateway, "PUT", "/v1/artifacts/a", b"x" * (BODY_BYTES + 1))[0] == 201


def test_an_answer_is_passed_on_while_it_is_still_written(gateway: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", gateway, timeout=60)) as connection:
        connection.request("GET", "/v1/codex/tasks/stream/timeline")
        answer = connection.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.read1() == b"data: 1\n\n"


def test_a_stream_does_not_keep_a_gateway_from_stopping(loop: Loop) -> None:
    port, upstream = free_port(), loop.serve(echo("codex-intake"))
    command = [sys.executable, "-m", "shared.local.gateway", "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen([*command, "--upstream", f"codex-intake=http://127.0.0.1:{upstream}"]) as process:
        eventually(lambda: answers(port), "the gateway")
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request("GET", "/v1/codex/tasks/stream/timeline")
            assert connection.getresponse().read1() == b"data: 1\n\n"
            process.terminate()
            assert process.wait(GRACE_SECONDS) == 0


def answers(port: int) -> bool:
    try:
        return ask(port, "GET", "/healthz")[0] == 200
    except OSError:
        return False


def test_a_function_that_is_away_is_503_with_retry_after(loop: Loop, ports: dict[str, int]) -> None:
    port = _gateway(loop, ports)
    status, headers, _ = ask(port, "POST", "/codex/tasks", b"1")
    assert (status, headers["Retry-After"]) == (503, "1")


def test_a_function_that_restarts_is_waited_for(
    loop: Loop, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is back in time, however long this machine needs for that.
    monkeypatch.setattr("shared.local.gateway.RETRY_SECONDS", 60.0)
    port = _gateway(loop, ports)
    answers: list[int] = []
    asking = threading.Thread(target=lambda: answers.append(ask(port, "POST", "/codex/tasks", b"1")[0]))
    asking.start()
    asking.join(0.3)
    assert asking.is_alive()
    loop.serve(echo("codex-intake"), ports["codex-intake"])
    asking.join(60)
    assert answers == [201]


def test_a_function_that_closes_without_an_answer_is_503_and_not_asked_twice(loop: Loop, ports: dict[str, int]) -> None:
    port, seen = _gateway(loop, ports), 0
    with socket.create_server(("127.0.0.1", ports["codex-intake"])) as server:
        server.settimeout(60)

        def close_each() -> None:
            nonlocal seen
            connection, _ = server.accept()
            connection.recv(65536)
            seen += 1
            connection.close()

        closing_each = threading.Thread(target=close_each)
        closing_each.start()
        assert ask(port, "POST", "/codex/tasks", b"1")[0] == 503
        closing_each.join()
        server.settimeout(0.2)
        with pytest.raises(TimeoutError):
            server.accept()
    assert seen == 1
