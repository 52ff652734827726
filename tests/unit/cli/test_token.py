"""`facteur token`: a token is shown once, its hash is kept, and every refusal says what to do."""

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.cli.main import app
from shared.domain.token import check_api_token, parse_callers, token_sha256
from shared.token_file import read

NEW = ("token", "new", "--caller", "ci", "--scope", "tasks:write")
VARIABLE = "FACTEUR_API_TOKENS_FILE"


def facteur(*arguments: str, **env: str) -> Result:
    clean: dict[str, str | None] = {VARIABLE: None, "FACTEUR_CONFIG_FILE": None}
    return CliRunner().invoke(app, arguments, env=clean | env)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def test_a_new_token_stands_alone_on_stdout_and_its_hash_in_the_file(path: Path) -> None:
    done = facteur(*NEW, "--scope", "tasks:read", "--tenant", "team", "--file", str(path))
    assert done.exit_code == 0
    token = done.stdout.removesuffix("\n")
    assert re.fullmatch(r"fca_[A-Za-z0-9_-]{43}", token)
    assert token not in done.stderr + path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    caller = check_api_token(parse_callers(read(path)), token, "tasks:read")
    assert (caller.name, caller.tenant, caller.scopes) == ("ci", "team", frozenset({"tasks:write", "tasks:read"}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", read(path)[0]["created"])


def test_without_a_file_the_entry_for_the_secret_is_shown_beside(tmp_path: Path) -> None:
    done = facteur(*NEW)
    assert done.exit_code == 0
    entry = json.loads(done.stderr.splitlines()[-1])
    assert check_api_token(parse_callers([entry]), done.stdout.strip(), "tasks:write").tenant == "default"
    assert done.stdout.strip() not in done.stderr


def test_the_file_is_the_one_of_environment_or_configuration(path: Path, tmp_path: Path) -> None:
    assert facteur(*NEW, **{VARIABLE: str(path)}).exit_code == 0
    (tmp_path / "facteur.yaml").write_text(f"api_tokens_file: {path}\n")
    assert facteur(*NEW, FACTEUR_CONFIG_FILE=str(tmp_path / "facteur.yaml")).exit_code == 0
    assert len(read(path)) == 2
    broken = facteur(*NEW, FACTEUR_CONFIG_FILE=str(tmp_path / "none.yaml"))
    assert (broken.exit_code, broken.stdout) == (2, "")


def test_the_list_shows_ids_and_callers(path: Path) -> None:
    token = facteur(*NEW, "--file", str(path)).stdout.strip()
    old = {"caller": "old\x1b[31m", "sha256": "ab" * 32, "scopes": ["tasks:read", "memory:read"]}
    path.write_text(json.dumps([*read(path), old]))
    head, first, second = facteur("token", "list", "--file", str(path)).stdout.splitlines()
    assert head.split() == ["id", "caller", "scopes", "tenant", "created"]
    assert first.split()[:4] == [token_sha256(token).hex()[:8], "ci", "tasks:write", "default"]
    assert second.split() == ["abababab", "old?[31m", "tasks:read", "memory:read", "default"]


def test_ids_are_as_long_as_tells_them_apart(path: Path) -> None:
    twins = [{"caller": "a", "sha256": "ab" * 6 + digit + "0" * 51, "scopes": []} for digit in "cd"]
    path.write_text(json.dumps(twins))
    shown = [line.split()[0] for line in facteur("token", "list", "--file", str(path)).stdout.splitlines()[1:]]
    assert shown == ["ab" * 6 + "c", "ab" * 6 + "d"]
    several = facteur("token", "revoke", "abababab", "--file", str(path))
    assert (several.exit_code, len(read(path))) == (1, 2)
    assert "give more of the id" in several.stderr
    assert facteur("token", "revoke", shown[0].upper(), "--file", str(path)).exit_code == 0
    assert [entry["sha256"][:13] for entry in read(path)] == [shown[1]]


@pytest.mark.parametrize("token_id", ["abababa", "", "*", "zzzzzzzz", "../../etc"])
def test_what_is_no_id_revokes_nothing(path: Path, token_id: str) -> None:
    path.write_text(json.dumps([{"caller": "a", "sha256": "ab" * 32, "scopes": []}]))
    done = facteur("token", "revoke", "--file", str(path), "--", token_id)
    assert (done.exit_code, len(read(path))) == (2, 1)
    unknown = facteur("token", "revoke", "00000000", "--file", str(path))
    assert (unknown.exit_code, unknown.stderr) == (1, "no token has this id\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--caller", "", "--scope", "tasks:write"), "without a caller name"),
        (("--caller", "ci", "--scope", "everything"), "scopes are not among memory:read, tasks:read, tasks:write"),
        (("--caller", "ci", "--scope", "tasks:read", "--tenant", ""), "empty tenant"),
        (("--caller", "ci"), "--scope"),
    ],
)
def test_a_token_that_could_do_nothing_right_is_not_made(path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = facteur("token", "new", *arguments, "--file", str(path))
    assert (done.exit_code, done.stdout, path.exists()) == (2, "", False)
    assert said in done.stderr


def test_files_that_cannot_be_used_are_one_sentence_and_no_token_is_shown(tmp_path: Path, path: Path) -> None:
    nowhere = tmp_path / "none" / "tokens.json"
    path.write_text("{}")
    for file, reason in (
        (nowhere, "no such file or directory"),
        (path, "must be a JSON list"),
        (tmp_path, "is not a file"),
    ):
        for command in (NEW, ("token", "list"), ("token", "revoke", "abababab")):
            done = facteur(*command, "--file", str(file))
            assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
            assert reason in done.stderr
    assert path.read_text() == "{}"
    missing = facteur("token", "revoke", "abababab", "--file", str(tmp_path / "missing.json"))
    assert (missing.exit_code, (tmp_path / "missing.json").exists()) == (1, False)
    unnamed = facteur("token", "list")
    assert (unnamed.exit_code, VARIABLE in unnamed.stderr) == (2, True)


def test_several_at_once_lose_no_token(path: Path) -> None:
    program = "from shared.cli.main import main; main()"
    command = [sys.executable, "-c", program, *NEW, "--file", str(path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    tokens = [process.communicate(timeout=60)[0].decode().strip() for process in running]
    assert {token_sha256(token).hex() for token in tokens} == {entry["sha256"] for entry in read(path)}
    assert len(read(path)) == 4
