"""What is proposed while somebody types: found at once, however many tasks there are."""

from typing import Any

import psycopg
import pytest

from shared.domain.ids import run_id
from shared.postgres.database import Database
from shared.postgres.discord_choices import _STATEMENTS, PgDiscordChoices
from tests.integration.postgres.conftest import AcceptTask
from tests.integration.postgres.test_task_views import MANY

SEEN = 2000
MINE = {"caller": "discord:1", "tenant": "default", "repository": "o/mine"}


def rows_read(plan: dict[str, Any]) -> int:
    """How many rows the plan took from the table of tasks."""
    here = int(plan["Actual Rows"]) + int(plan.get("Rows Removed by Filter", 0)) if "Relation Name" in plan else 0
    here = here if plan.get("Relation Name") == "codex_tasks" else 0
    return here + sum(map(rows_read, plan.get("Plans", [])))


@pytest.mark.parametrize("option", sorted(_STATEMENTS))
def test_whoever_has_few_tasks_does_not_have_all_of_them_read(database: Database, dsn: str, option: str) -> None:
    database.do(MANY.replace("5000", "40000"), {})
    (row,) = database.all("SELECT count(*) AS tasks FROM codex_kb.codex_tasks WHERE tenant = 'default'", {})
    assert row["tasks"] > 5 * SEEN
    parameters = {"caller": "discord:1", "guild": "2", "typed": ""}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE codex_kb.codex_tasks")
        explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + _STATEMENTS[option]
        told = connection.execute(explain.encode(), parameters).fetchone()
    assert told
    assert 0 < rows_read(told[0][0]["Plan"]) <= SEEN


def test_of_a_users_tasks_those_are_proposed_that_are_among_the_latest(database: Database, accept: AcceptTask) -> None:
    accept("mine", **MINE)
    choices = PgDiscordChoices(database)
    assert [value for _, value in choices.of("task", "", "discord:1", "")] == [str(run_id("mine"))]
    database.do(MANY, {})  # all of them are older
    assert [value for _, value in choices.of("repository", "", "discord:1", "")] == ["o/mine"]
    database.do("UPDATE codex_kb.codex_tasks SET created_at = now() - interval '1 day' WHERE id = %(id)s",
                {"id": run_id("mine")})  # fmt: skip
    assert choices.of("task", "", "discord:1", "") == []
