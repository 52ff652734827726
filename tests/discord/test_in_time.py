"""Three seconds are what Discord gives an interaction: enough under load, and for a process that is not there yet."""

import subprocess
from pathlib import Path

import pytest

from shared.local.state import free_port
from tests.component.conftest import until
from tests.component.functions import Function, end, start
from tests.discord.pace import at_rate
from tests.discord.stand import Stand
from tests.discord.starting import Start, acknowledged_from_zero
from tests.discord.world import ANSWER_SECONDS

NUMBER, RATE = 500, 50.0
STARTS = 8


def asked(stand: Stand) -> set[str]:
    """The events that asked for a task. One that the broker did not acknowledge within a second comes again."""
    return {event.id for event in stand.requests()}


@pytest.mark.timeout(180)
def test_at_50_a_second_nothing_is_acknowledged_late(stand: Stand) -> None:
    with stand.function() as function:
        came = at_rate(stand.discord, function.url, NUMBER, RATE)
        until(lambda: len(asked(stand)) >= NUMBER // 2)
    assert [one for one in came if one.late] == []
    assert len(asked(stand)) == NUMBER // 2
    assert stand.discord.faults == []


def from_zero(stand: Stand, log: Path) -> Start:
    port, started = free_port(), list[Function]()

    def begin() -> "subprocess.Popen[bytes]":
        started.append(start("discord-interaction", stand.environment, log, port))
        return started[0].process

    try:
        return acknowledged_from_zero(begin, f"http://127.0.0.1:{port}/interactions")
    finally:
        assert [end(function) for function in started] == [0]


@pytest.mark.timeout(180)
def test_from_a_stopped_process_a_command_is_acknowledged_in_time(stand: Stand, tmp_path: Path) -> None:
    """On a machine that runs other tests meanwhile Discord's three seconds are enough. A start needs less than one
    second of one processor, so on a machine of its own it takes less than two (`make bench-discord`).
    """
    taken = [from_zero(stand, tmp_path / "log") for _ in range(STARTS)]
    assert [one for one in taken if one.took > ANSWER_SECONDS or one.worked > 1] == []
    until(lambda: len(asked(stand)) >= STARTS)
    assert len(asked(stand)) == STARTS
