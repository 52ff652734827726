"""A task is checked where it is made, whatever door it came through."""

from typing import Any

import pytest

from shared.domain.errors import Rejected
from shared.domain.job import JobPhase
from tests.integration.postgres.conftest import request


@pytest.mark.parametrize(
    "fields",
    [
        {"deadline_seconds": 1},
        {"deadline_seconds": 86_400},
        {"priority": 32_767},
        {"priority": -32_768},
        {"prompt": "x" * 1_000_000},
    ],
    ids=str,
)
def test_a_task_at_its_bounds_is_one(fields: dict[str, Any]) -> None:
    request(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"delivery_id": " "}, "missing delivery_id"),
        ({"prompt": "\n\t "}, "prompt is empty"),
        ({"prompt": "x" * 1_000_001}, "prompt is longer than 1000000 characters"),
        ({"deadline_seconds": 0}, "deadlineSeconds must be from 1 to 86400"),
        ({"deadline_seconds": 86_401}, "deadlineSeconds"),
        ({"priority": 32_768}, "priority must be from -32768 to 32767"),
        ({"priority": -32_769}, "priority"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_task_out_of_bounds_is_rejected_in_words(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(Rejected, match=words):
        request(**fields)


def test_a_job_is_over_unless_it_is_held_waits_or_runs() -> None:
    assert {phase for phase in JobPhase if not phase.final} == {JobPhase.HELD, JobPhase.PENDING, JobPhase.RUNNING}
