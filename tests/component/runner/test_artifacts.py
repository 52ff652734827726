"""A file that is left with the task is the file that was meant, and nothing else is told."""

import hashlib

from tests.component.runner.callback_server import Callback
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
