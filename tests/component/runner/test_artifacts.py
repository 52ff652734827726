"""A file that is left with the task is the file that was meant, and nothing else is told."""

import hashlib
from pathlib import Path

import pytest

from shared.runner.artifacts import MAX_PARTS, Leaving, measure
from shared.runner.client import Client
from shared.runner.errors import Away, RunnerError
from tests.component.runner.callback_server import TOKEN, Callback
from tests.component.runner.container import Container, eventually


def test_a_file_is_uploaded_verified_and_announced(callback: Callback, container: Container) -> None:
    content = b"0123456789" * 300_000
    (container.work / "deep").mkdir()
    (container.work / "deep" / "report.txt").write_bytes(content)
    container.run("with Task.from_env() as task: print(task.artifact('deep/report.txt'))")
    ((artifact_id, kept),) = callback.artifacts.items()
    digest = hashlib.sha256(content).hexdigest()
    assert container.said.strip() == artifact_id
    assert (kept["committed"], kept["content"]) == (True, content)
    assert callback.said("artifact") == [
        {
            "artifactId": artifact_id,
            "name": "report.txt",
            "size": len(content),
            "sha256": digest,
            "contentType": "text/plain",
        }
    ]
    assert "deep" not in str([(path, headers) for _, path, headers in callback.requests])


def test_bytes_are_uploaded_under_the_given_name_without_folders(callback: Callback, container: Container) -> None:
    container.run("with Task.from_env() as task: task.artifact(b'', '/home/me/empty.bin', 'application/x-empty')")
    (kept,) = callback.artifacts.values()
    assert (kept["name"], kept["size"], kept["contentType"]) == ("empty.bin", 0, "application/x-empty")
    assert kept["committed"]


def test_the_task_token_is_not_shown_to_the_store(callback: Callback, container: Container) -> None:
    container.run("with Task.from_env() as task: task.artifact(b'x', 'x')")
    ((_, _, headers),) = [request for request in callback.requests if request[0] == "PUT"]
    assert "Authorization" not in headers
    assert headers["X-Signed"] == "1"


def test_an_upload_is_tried_again_while_the_callback_is_away(callback: Callback, container: Container) -> None:
    program = """
with Task.from_env() as task:
    step("ready")
    task.artifact(b"patient", "x")
"""
    with container.start(program) as process:
        process.reached("ready")
        callback.answer_with = 503
        process.go_on()
        eventually(lambda: len(callback.requests) >= 2, "a second try")
        callback.answer_with = None
        assert process.wait() == 0
    assert [kept["committed"] for kept in callback.artifacts.values()] == [True]


def test_what_arrived_spoilt_is_uploaded_again(callback: Callback, container: Container) -> None:
    callback.spoils = 1
    assert container.run("with Task.from_env() as task: task.artifact(b'whole', 'x')") == 0
    assert [kept["content"] for kept in callback.artifacts.values() if kept["committed"]] == [b"whole"]


def test_a_file_that_cannot_be_read_is_named_without_its_folder(callback: Callback, container: Container) -> None:
    container.run("with Task.from_env() as task: task.artifact('/nonexistent/secret-place/x.txt')")
    failure = "RunnerError: the artifact x.txt cannot be read (No such file or directory)"
    assert callback.said("failed") == [failure]


def test_bytes_need_a_name(callback: Callback, container: Container) -> None:
    container.run("with Task.from_env() as task: task.artifact(b'x')")
    assert callback.said("failed") == ["RunnerError: an artifact made of bytes needs a name"]


# --- large files


@pytest.fixture
def leaving(callback: Callback, tmp_path: Path) -> Leaving:
    """A file of three parts on its way."""
    (tmp_path / "own-token").write_text(TOKEN)
    (tmp_path / "core.dump").write_bytes(b"0123456789")
    return Leaving(Client(tmp_path / "own-token", None), callback.url, measure(tmp_path / "core.dump", None, None, 4))


def sent(callback: Callback) -> list[str]:
    """Which parts were sent, in their order."""
    return [path.rpartition(".")[2] for method, path, _ in callback.requests if method == "PUT"]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 5, 8, 9, 4 * MAX_PARTS])
def test_a_file_is_measured_in_parts_that_make_it(tmp_path: Path, size: int) -> None:
    content = bytes(range(size))
    (tmp_path / "x").write_bytes(content)
    found = measure(tmp_path / "x", None, None, 4)
    assert (found.size, found.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert len(found.parts) == max(1, -(-size // 4))
    pieces = [b"".join(found.content(part)) for part in found.parts]
    assert b"".join(pieces) == content
    assert [part.sha256 for part in found.parts] == [hashlib.sha256(piece).hexdigest() for piece in pieces]
    assert [part.size for part in found.parts] == list(map(len, pieces))


def test_what_is_too_large_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="at most 64 bytes: split x"):
        measure(bytes(4 * MAX_PARTS + 1), "x", None, 4)


def test_a_large_file_is_sent_in_parts(callback: Callback, leaving: Leaving) -> None:
    artifact = leaving()
    kept = callback.artifacts[artifact]
    assert (kept["content"], kept["committed"], kept["name"]) == (b"0123456789", True, "core.dump")
    assert [part["size"] for part in kept["parts"]] == [4, 4, 2]
    assert sent(callback) == ["0", "1", "2"]


@pytest.mark.parametrize("status", [401, 403, 409, 400, 404, 500, 503])
def test_a_part_that_failed_is_sent_again_alone(callback: Callback, leaving: Leaving, status: int) -> None:
    callback.puts = [0, status]
    with pytest.raises(Away):
        leaving()
    artifact = leaving()
    assert callback.artifacts[artifact]["content"] == b"0123456789"
    assert sent(callback) == ["0", "1", "1", "2"]


def test_a_part_that_arrived_spoilt_makes_all_of_them_go_again(callback: Callback, leaving: Leaving) -> None:
    callback.spoils = 1
    with pytest.raises(Away):
        leaving()
    assert callback.artifacts[leaving()]["committed"]
    assert sent(callback) == ["0", "1", "2"] * 2


def test_a_file_that_becomes_shorter_meanwhile_is_not_left(
    callback: Callback, leaving: Leaving, tmp_path: Path
) -> None:
    (tmp_path / "core.dump").write_bytes(b"01234")
    with pytest.raises(Away, match="became shorter"):
        leaving()
    assert not any(kept["committed"] for kept in callback.artifacts.values())
