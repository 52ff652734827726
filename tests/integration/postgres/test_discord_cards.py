"""Cards on a real server: many processes at once, and many cards."""

import threading
import time
from datetime import UTC, datetime
from itertools import pairwise
from uuid import UUID, uuid4

import psutil
import psycopg
import pytest

from shared.domain.card import Opened
from shared.postgres.card_facts import PgCardFacts
from shared.postgres.database import Database
from shared.postgres.discord_cards import Pace, PgDiscordCards
from tests.integration.postgres.conftest import AcceptTask
from tests.patience import PATIENCE, patient

# No message that was made then is old, however long it takes until its test has its turn.
MADE = datetime(2100, 1, 1, tzinfo=UTC)
OPENED = Opened("1" * 18, "the-token-that-is-stored-nowhere", "2" * 18, "3" * 18, "4" * 18, False, MADE)
PAUSE = 0.25
# How often each card is touched, which takes two seconds where nothing else is done.
TOUCHES = 8


def test_no_two_processes_touch_a_card_within_the_pause(dsn: str) -> None:
    pace = Pace(pause=PAUSE, lease=30, idle=0)
    databases = [patient(dsn) for _ in range(4)]
    tasks = [uuid4() for _ in range(5)]
    touched: dict[UUID, list[tuple[float, float]]] = {task: [] for task in tasks}
    for task in tasks:
        PgDiscordCards(databases[0], pace).open(task, OPENED)
    deadline = time.monotonic() + PATIENCE

    def enough() -> bool:
        return min(map(len, touched.values())) >= TOUCHES or time.monotonic() > deadline

    def work(number: int) -> None:
        cards = PgDiscordCards(databases[number], pace)
        while not enough():
            card = cards.claim() or cards.claim(tasks[number])
            if card:
                began = time.monotonic()
                time.sleep(0.01)
                ended = time.monotonic()
                cards.edited(card.task_id, f"{number} {began}", None)
                touched[card.task_id].append((began, ended))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in databases:
        database.close()
    for edits in touched.values():
        edits.sort()
        assert len(edits) >= TOUCHES
        assert all(later[0] - earlier[1] >= PAUSE for earlier, later in pairwise(edits))


def test_the_token_is_not_stored(database: Database) -> None:
    PgDiscordCards(database).open(uuid4(), OPENED)
    (row,) = database.all("SELECT to_jsonb(card)::text AS everything FROM codex_kb.discord_cards AS card", {})
    assert OPENED.token not in row["everything"]


def test_a_failure_of_many_in_a_row_still_waits_for_minutes_only(database: Database) -> None:
    cards, task = PgDiscordCards(database), uuid4()
    cards.open(task, OPENED)
    for _ in range(200):
        cards.failed(task, 1)
    (row,) = database.all("SELECT next_edit_at - now() <= interval '5 minutes' AS soon FROM codex_kb.discord_cards", {})
    assert row["soon"]


def seconds_of_work(database: Database) -> float:
    """How long the only session of the database has had a processor; how long it waited for one is not its own."""
    (row,) = database.all("SELECT pg_backend_pid() AS pid", {})
    times = psutil.Process(row["pid"]).cpu_times()
    return float(times.user + times.system)


def test_ten_thousand_still_cards_cost_one_look(database: Database, dsn: str) -> None:
    cards = PgDiscordCards(database, Pace(pause=0))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO codex_kb.discord_cards (task_id, channel_id, user_id, ephemeral, token_until, looked_at) "
            "SELECT gen_random_uuid(), 'c', 'u', false, now(), now() FROM generate_series(1, 10000)"
        )
        connection.execute("ANALYZE codex_kb.discord_cards")
    began = seconds_of_work(database)
    assert cards.claim() is None
    assert seconds_of_work(database) - began < 2
    task = uuid4()
    cards.open(task, OPENED)
    found = cards.claim()
    assert found
    assert found.task_id == task


@pytest.mark.parametrize("attempt", [1, 2])
def test_what_another_attempt_said_is_not_shown(database: Database, accept: AcceptTask, attempt: int) -> None:
    task = accept().run_id
    for number in (1, 2):
        database.do(
            "INSERT INTO codex_kb.codex_task_events (task_id, attempt, event_id, sequence, event_type, content) "
            "VALUES (%(task)s, %(n)s, %(n)s::text, 1, 'progress', to_jsonb(%(n)s::int))",
            {"task": task, "n": number},
        )
    database.do("UPDATE codex_kb.codex_tasks SET attempt = %(n)s", {"n": attempt})
    facts = PgCardFacts(database).of(task)
    assert facts
    assert facts.said == attempt
