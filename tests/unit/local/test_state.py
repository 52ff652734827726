"""The state folder of a local twin."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shared.local import state as module
from shared.local.state import CannotStart, State, free_port


def test_secrets_are_made_once_and_found_again(tmp_path: Path) -> None:
    first = State.open(tmp_path / "state")
    kept = (first.api_token, first.token_secret, first.discord_private_key, first.discord_public_key)
    first.close()
    again = State.open(tmp_path / "state")
    assert (again.api_token, again.token_secret, again.discord_private_key, again.discord_public_key) == kept
    assert len(again.token_secret) >= 32
    again.close()


def test_fresh_deletes_everything_and_makes_new_secrets(tmp_path: Path) -> None:
    first = State.open(tmp_path / "state")
    token = first.api_token
    (first.subfolder("jobs") / "left").write_text("over")
    first.close()
    anew = State.open(tmp_path / "state", fresh=True)
    assert anew.api_token != token
    assert not (anew.folder / "jobs").exists()
    anew.close()


def test_every_start_has_a_twin_id_of_its_own(tmp_path: Path) -> None:
    first = State.open(tmp_path / "state")
    first.close()
    again = State.open(tmp_path / "state")
    assert first.twin_id != again.twin_id
    again.close()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_foreign_files_is_refused_and_untouched(tmp_path: Path, fresh: bool) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CannotStart, match="--state"):
        State.open(tmp_path, fresh)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_second_twin_on_the_same_state_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    first = State.open(tmp_path / "state")
    with pytest.raises(CannotStart, match=rf"already running .*pid {os.getpid()}"):
        State.open(tmp_path / "state")
    first.close()
    State.open(tmp_path / "state").close()


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a folder")
    with pytest.raises(CannotStart, match="--state"):
        State.open(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(CannotStart, match="--state"):
        State.open(tmp_path / "closed" / "state")


def test_a_damaged_state_is_said_and_fresh_repairs_it(tmp_path: Path) -> None:
    State.open(tmp_path / "state").close()
    (tmp_path / "state" / "twin.json").write_text("{")
    with pytest.raises(CannotStart, match="--fresh"):
        State.open(tmp_path / "state")
    State.open(tmp_path / "state", fresh=True).close()


def test_a_port_is_kept_while_it_is_free_and_replaced_when_it_is_taken(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state")
    port = state.port("gateway")
    assert state.port("gateway") == port
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert state.port("gateway") != port
    state.close()


def test_a_port_that_was_given_is_given_to_nobody_else_before_a_server_listens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = free_port()
    monkeypatch.setattr(module, "PORTS", [port] * 200)
    with pytest.raises(CannotStart, match="No free port"):
        free_port()
    program = f"from shared.local import state; state.PORTS = [{port}] * 200; state.free_port()"
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert "No free port" in other.stderr


def test_a_port_that_was_given_to_another_meanwhile_is_replaced(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state")
    kept = free_port()
    os.close(module._given.pop(kept))
    state._kept["ports"]["gateway"] = kept
    with socket.socket(type=socket.SOCK_DGRAM) as another_process:
        another_process.bind(("127.0.0.1", kept))
        assert state.port("gateway") != kept
    state.close()


def test_a_wanted_port_that_is_taken_is_said(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(CannotStart, match=f"{port} .*taken"):
            state.port("gateway", wanted=port)
    state.close()


def test_secrets_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    state = State.open(tmp_path / "state")
    for name in ("twin.json", "lock"):
        assert stat.S_IMODE((state.folder / name).stat().st_mode) == 0o600
    assert not stat.S_IMODE(state.folder.stat().st_mode) & 0o066
    assert stat.S_IMODE(state.subfolder("jobs").stat().st_mode) == 0o700
    state.close()
