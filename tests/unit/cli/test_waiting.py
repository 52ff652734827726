"""A command that waits for a server says so once, ends with what it waited for, and not later than it was told."""

from collections.abc import Callable

import pytest
import typer

from shared.cli import waiting
from shared.cli.waiting import seconds, until_there
from shared.domain.errors import Rejected, Unavailable


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_PAUSE_SECONDS", 0.0)


def failing(*errors: Exception) -> Callable[[], str]:
    """Raises one after the other, and then comes back."""
    left = list(errors)

    def do() -> str:
        if left:
            raise left.pop(0)
        return "done"

    return do


def test_what_comes_up_by_itself_is_waited_for_and_each_reason_is_said_once() -> None:
    said: list[str] = []
    reasons = [Unavailable("no server"), Unavailable("no server"), Unavailable("no roles")]
    assert until_there(failing(*reasons), 3600, said.append) == "done"
    assert [line.rpartition(": ")[2] for line in said] == ["no server", "no roles"]
    assert all(line.startswith("waiting for up to 3") for line in said)


@pytest.mark.parametrize(
    ("error", "patience"),
    [(Unavailable("no server"), 0.0), (Rejected("never"), 3600.0)],
    ids=["no patience", "no hope"],
)
def test_what_is_not_waited_for_is_raised_at_once(error: Exception, patience: float) -> None:
    said: list[str] = []
    with pytest.raises(type(error)):
        until_there(failing(error), patience, said.append)
    assert not said


def test_the_patience_comes_to_an_end() -> None:
    with pytest.raises(Unavailable, match="still away"):
        until_there(failing(*[Unavailable("still away")] * 1_000_000), 0.01, lambda _: None)


@pytest.mark.parametrize(
    ("raw", "found"), [("0s", 0), ("90s", 90), ("30m", 1800), ("2h", 7200)], ids=["none", "seconds", "minutes", "hours"]
)
def test_a_time_has_a_unit(raw: str, found: float) -> None:
    assert seconds(raw) == found


@pytest.mark.parametrize("raw", ["", "30", "m", "-1m", "1.5h", "30 m", "999999s"])
def test_what_is_no_time_is_refused(raw: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 30m"):
        seconds(raw)
