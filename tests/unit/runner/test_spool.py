"""The spool keeps what it promised, whatever the end of its file looks like."""

from pathlib import Path

import pytest

from shared.runner.errors import RunnerError
from shared.runner.spool import Entry, Spool, entry_of, open_spool


def _event(sequence: int, kind: str = "progress") -> Entry:
    return entry_of({"eventId": f"t-1-{sequence}", "sequence": sequence, "eventType": kind, "content": "x\n"})


def _filled(path: Path) -> bytes:
    spool = Spool(path)
    for sequence in (1, 2, 3):
        spool.append(_event(sequence))
    spool.confirm(1)
    spool.close()
    return path.read_bytes()


def test_a_spool_that_is_opened_again_goes_on_where_it_was(tmp_path: Path) -> None:
    _filled(tmp_path / "s")
    spool = Spool(tmp_path / "s")
    assert (spool.last, spool.confirmed) == (3, 1)
    assert spool.waiting() == [_event(2), _event(3)]
    assert list(spool.entries()) == [_event(1), _event(2), _event(3)]
    spool.close()


def test_a_torn_last_line_is_recovered_wherever_it_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "s"
    whole = _filled(path)
    lines = whole.splitlines(keepends=True)
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        kept = whole[:length].count(b"\n")
        spool = Spool(path)
        assert spool.last == min(kept, 3)
        assert path.read_bytes() == b"".join(lines[:kept])
        number = spool.last + 1
        spool.append(_event(number))
        assert [entry.sequence for entry in spool.entries()] == list(range(1, number + 1))
        spool.close()


def test_a_line_that_is_no_json_costs_that_line_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    lines = _filled(path).splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00\x00{[\n" + lines[2])
    spool = Spool(path)
    assert [entry.sequence for entry in spool.waiting()] == [1, 3]
    spool.close()


def test_confirmations_only_rise(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s")
    spool.append(_event(1))
    spool.append(_event(2))
    spool.confirm(2)
    size = (tmp_path / "s").stat().st_size
    spool.confirm(1)
    assert (spool.confirmed, (tmp_path / "s").stat().st_size) == (2, size)
    spool.close()


def test_what_ends_an_attempt_is_known_by_its_kind() -> None:
    assert [_event(1, kind).ends for kind in ("completed", "failed", "progress")] == [True, True, False]


def test_a_spool_belongs_to_one_process_and_one_user(tmp_path: Path) -> None:
    spool = open_spool(tmp_path / "deep" / "er", "t-1")
    assert (tmp_path / "deep" / "er" / "t-1.ndjson").stat().st_mode & 0o777 == 0o600
    with pytest.raises(RunnerError, match="another process"):
        open_spool(tmp_path / "deep" / "er", "t-1")
    spool.close()


def test_a_folder_that_cannot_be_written_is_named_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunnerError, match=r"^CODEX_SPOOL_DIR must name a folder") as raised:
        open_spool(tmp_path / "file" / "spool", "t-1")
    assert str(tmp_path) not in str(raised.value)


def test_without_a_place_beside_the_working_folder_the_temporary_one_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job" / "work").mkdir(parents=True)
    (tmp_path / "job" / ".codex-spool").write_text("in the way")
    (tmp_path / "temporary").mkdir()
    monkeypatch.chdir(tmp_path / "job" / "work")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    open_spool(None, "t-1").close()
    assert [path.name for path in (tmp_path / "temporary").rglob("*.ndjson")] == ["t-1.ndjson"]
