"""Ready is who finds the schema that its code was written for, and may use it."""

from collections.abc import Iterator

import psycopg
import pytest

from shared.domain.errors import Unavailable
from shared.postgres import database
from shared.postgres.database import Database
from shared.postgres.migrations import migrate, shipped
from shared.postgres.privileges import FUNCTIONS
from tests.component.roles import dsn_of
from tests.patience import patient

LAST = shipped()[-1][0]
# As an upgrade finds the database before its migration ran, and as whatever comes to the roles too late leaves it.
NOT_YET = {
    "an earlier schema": (
        "DELETE FROM public.facteur_migrations WHERE name = (SELECT max(name) FROM public.facteur_migrations)",
        f"lacks the migration {LAST}",
    ),
    "no schema": ("DROP SCHEMA codex_kb CASCADE", "lacks tables"),
    "no ledger": ("DROP TABLE public.facteur_migrations", "lacks tables"),
    "no right to the ledger": (
        "REVOKE SELECT (name) ON public.facteur_migrations FROM facteur_callback",
        "may not do this",
    ),
    "no right to tables": ("REVOKE SELECT ON codex_kb.codex_tasks FROM facteur_callback", "may not do this"),
}


@pytest.fixture
def callback(dsn: str) -> Iterator[Database]:
    migrate(dsn)
    opened = patient(dsn_of("callback", dsn))
    yield opened
    opened.close()


def test_the_migration_that_is_asked_for_is_the_last_one() -> None:
    assert database._NEEDED == LAST


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_role_may_ask_whether_the_database_is_ready(dsn: str, function: str) -> None:
    opened = patient(dsn_of(function, dsn))
    opened.ready()
    opened.close()


@pytest.mark.parametrize(("change", "said"), NOT_YET.values(), ids=NOT_YET)
def test_a_database_that_is_not_as_the_code_needs_it_is_not_ready(
    dsn: str, callback: Database, change: str, said: str
) -> None:
    callback.ready()
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute(change.encode())
    with pytest.raises(Unavailable, match=f"{said}.*facteur migrate"):
        callback.ready()


def test_a_later_schema_keeps_those_ready_that_still_run(dsn: str, callback: Database) -> None:
    with psycopg.connect(dsn, autocommit=True) as owner:
        owner.execute("INSERT INTO public.facteur_migrations (name, sha256) VALUES ('9999_later.sql', '')")
    callback.ready()


def test_a_column_that_is_still_to_come_is_waited_for(callback: Database) -> None:
    with pytest.raises(Unavailable, match="facteur migrate"):
        callback.do("SELECT not_yet FROM codex_kb.codex_tasks", {})
