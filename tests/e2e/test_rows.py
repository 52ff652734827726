"""The rows that others read beside us."""

from tests.e2e.conftest import Done, Rows

# Word for word what producers and dashboards of the earlier system ask.
CONTRACT = (
    "SELECT tasks.id, tasks.stage, task_runs.delivery_id "
    "FROM codex_kb.tasks JOIN codex_kb.task_runs ON task_runs.task_id = tasks.id"
)


def test_tasks_and_runs_are_joined_as_the_earlier_system_joins_them(rows: Rows, key: str, first: Done) -> None:
    (row,) = rows(f"{CONTRACT} WHERE task_runs.id = %(id)s", id=first.id)
    assert (row["stage"], str(row["delivery_id"]).endswith(f":{key}-first")) == ("implementation", True)


def test_a_task_that_ended_leaves_nothing_to_be_published(rows: Rows, first: Done) -> None:
    assert rows("SELECT FROM codex_kb.outbox WHERE event::jsonb->>'subject' = %(id)s", id=first.id) == []
