"""What the role of a function may do is what its statements need, as PostgreSQL sees it, and what its sheet says."""

import psycopg
import pytest

from shared.postgres.privileges import FUNCTIONS as GRANTED
from shared.postgres.privileges import locking, privileges, role, timeouts
from tests.architecture.privileges import VERBS, needed, statements
from tests.architecture.tree import FUNCTIONS, kebab, text
from tests.architecture.writes import written_tables


def test_each_function_has_privileges() -> None:
    assert set(GRANTED) == set(map(kebab, FUNCTIONS))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_has_exactly_the_privileges_that_its_statements_need(function: str, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        wanted = needed(connection, function)
    assert len(statements(function)) > 10
    # A row that is locked needs the right to change it: of one column, where the table is not written.
    written = written_tables(function)
    held = {locking(table) if verb == "UPDATE" and table not in written else (verb, table) for verb, table in wanted}
    assert set(privileges(kebab(function))) == held


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_write_exactly_the_tables_of_its_data_sheet(function: str) -> None:
    # That these are the tables of the sheet is tested beside it.
    may = {table for verb, table in privileges(kebab(function)) if verb in VERBS and verb != "SELECT"}
    assert may == written_tables(function)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("place", ["operators/postgres.yaml", "plain-servers/roles.sh"])
def test_whoever_makes_the_roles_of_a_cluster_gives_them_their_time_limits(place: str, function: str) -> None:
    made = text(f"knative/platform/{place}")
    for name, value in timeouts(kebab(function))._asdict().items():
        assert f"ALTER ROLE {role(kebab(function))} SET {name} = '{value}'" in made
