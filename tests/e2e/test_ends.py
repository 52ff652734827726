"""Tasks that nobody wants any more, and events that nobody can handle."""

import json

import pytest

from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from tests.e2e.conftest import Rows
from tests.e2e.system import END_SECONDS, FINAL, System, until

LETTERS = "SELECT error_code, times_seen, event FROM codex_kb.dead_letters WHERE event_id = %(id)s"
TAKE_AWAY = "DELETE FROM codex_kb.dead_letters WHERE event_id = %(id)s"


@pytest.mark.parametrize("wait", ["at once", "while it runs"])
def test_a_task_that_is_canceled_ends_canceled_and_a_second_time_changes_nothing(
    system: System, key: str, wait: str
) -> None:
    # The second line keeps the stand-in agent waiting; to any other agent it is a part of the prompt.
    answer = system.submit("Count the stars, one by one.\nfacteur: sleep 250", f"{key}-cancel-{wait}")
    task = answer.json()["taskId"]
    if wait == "while it runs":
        until(lambda: system.show(task)["status"] == "running", f"task {task} to run", END_SECONDS)
    asked = system.cancel(task)
    assert (asked["taskId"], asked["cancelRequested"]) == (task, True)
    until(lambda: system.show(task)["status"] in FINAL, f"the end of task {task}", END_SECONDS)
    ended = system.ended(task)
    assert (ended["status"], ended["result"]) == ("canceled", "")
    assert system.cancel(task) == {"taskId": task, "status": "canceled", "cancelRequested": True}
    story = [entry["what"] for entry in system.timeline(task)]
    assert (story.count("canceled"), story.count("completed")) == (1, 0)


def test_an_event_that_nobody_can_handle_is_kept_with_its_cause(
    system: System, key: str, broker: str, rows: Rows
) -> None:
    data = {"prompt": 1}
    event = Event(
        f"{key}-unreadable",
        "/facteur/e2e",
        TASK_REQUESTED,
        datacontenttype="application/json",
        data=json.dumps(data).encode(),
    )
    system.publish(event)
    try:
        until(lambda: bool(rows(LETTERS, id=event.id)), f"the dead letter of {event.id}")
        (letter,) = rows(LETTERS, id=event.id)
        # A broker delivers at least once.
        assert letter["error_code"] == "400" and letter["times_seen"] >= 1
        assert json.loads(letter["event"])["data"] == data
    finally:
        rows(TAKE_AWAY, id=event.id)
