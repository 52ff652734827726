"""What the command says when it cannot start."""

import socket
import subprocess
import sys
from pathlib import Path

from tests.integration.broker.actors import broker, reference, trigger, write

ROOT = Path(__file__).parents[3]


def run(*arguments: str, **environ: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "shared.local.broker", "--prefix", "p:", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def usual(folder: Path, listen: str = "127.0.0.1:0", redis: str = "redis://127.0.0.1:1") -> list[str]:
    return ["--listen", listen, "--manifests", str(folder), "--redis", redis]


def test_wrong_manifests_are_all_named_and_end_with_2(tmp_path: Path) -> None:
    write(tmp_path, broker({"retries": 3}), trigger("a", {"Type": "t"}), trigger("b", delivery={"retry": "often"}))
    code, said = run(*usual(tmp_path))
    assert code == 2
    for mistake in ("broker.yaml: spec.delivery.retries", "triggers/a.yaml:", "triggers/b.yaml: spec.delivery.retry"):
        assert mistake in said
    assert "Traceback" not in said


def test_services_without_an_address_are_all_named(tmp_path: Path) -> None:
    write(tmp_path, broker({"deadLetterSink": reference("letters")}), trigger("a"), trigger("b"))
    services = '{"b": "http://127.0.0.1:9"}'
    code, said = run(*usual(tmp_path), FACTEUR_LOCAL_SERVICES=services)
    assert code == 2
    assert "no address for a: give --service a=http://HOST:PORT" in said and "no address for letters" in said
    assert "for b" not in said


def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, broker())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, said = run(*usual(tmp_path, listen=address))
    assert code == 2
    assert said.count("\n") == 1 and f"cannot listen on {address}: Address already in use" in said


def test_wrong_arguments_say_what_to_write(tmp_path: Path) -> None:
    write(tmp_path, broker())
    for arguments, expected in [
        (usual(tmp_path, listen="8090"), "--listen must be HOST:PORT"),
        (usual(tmp_path, redis="localhost"), "--redis must be a URL"),
        ([*usual(tmp_path), "--service", "a"], "--service must be NAME=URL"),
        ([*usual(tmp_path), "--service", "a=b"], "the address of a must be a URL"),
    ]:
        code, said = run(*arguments)
        assert (code, expected in said) == (2, True), said
    code, said = run(*usual(tmp_path), FACTEUR_LOCAL_SERVICES="{")
    assert (code, "FACTEUR_LOCAL_SERVICES must be a JSON map" in said) == (2, True)
