"""Dead letters in Postgres: kept whole, with their cause, counted and never doubled."""

from shared.events import codec
from shared.events.event import Event
from shared.postgres.database import Database
from shared.postgres.dead_letters import PgDeadLetters


def letter(destination: str = "http://embedder", code: str = "500", **more: str) -> Event:
    extensions = {"knativeerrordest": destination, "knativeerrorcode": code, "knativeerrordata": "d2h5", **more}
    return Event("1", "/s", "some.type", subject="task", extensions=extensions, data=b"\x00\xff")


def test_a_dead_letter_keeps_the_event_and_its_cause(database: Database) -> None:
    PgDeadLetters(database).keep(letter(traceparent="00-trace"))
    (row,) = database.all("SELECT * FROM codex_kb.dead_letters", {})
    assert (row["source"], row["event_id"], row["type"], row["subject"]) == ("/s", "1", "some.type", "task")
    assert (row["destination"], row["error_code"], row["error_data"]) == ("http://embedder", "500", "d2h5")
    assert codec.from_json(row["event"].encode()) == letter(traceparent="00-trace")


def test_the_same_letter_again_is_counted_with_its_latest_cause(database: Database) -> None:
    letters = PgDeadLetters(database)
    for code in ("500", "503", "422"):
        letters.keep(letter(code=code))
    (row,) = database.all(
        "SELECT times_seen, error_code, last_seen_at > first_seen_at AS later FROM codex_kb.dead_letters", {}
    )
    assert row == {"times_seen": 3, "error_code": "422", "later": True}


def test_each_destination_has_its_own(database: Database) -> None:
    letters = PgDeadLetters(database)
    letters.keep(letter("http://embedder"))
    letters.keep(letter("http://dispatcher"))
    assert len(database.all("SELECT FROM codex_kb.dead_letters", {})) == 2


def test_a_letter_that_says_nothing_of_its_cause_is_kept_too(database: Database) -> None:
    for _ in range(2):
        PgDeadLetters(database).keep(Event("1", "/s", "some.type"))
    (row,) = database.all("SELECT destination, error_code, error_data, times_seen FROM codex_kb.dead_letters", {})
    assert row == {"destination": "", "error_code": None, "error_data": None, "times_seen": 2}
