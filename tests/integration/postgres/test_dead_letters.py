"""Dead letters in Postgres: kept whole, with their cause, counted, never doubled, and sent again as they were."""

import threading
from dataclasses import replace
from secrets import token_hex
from uuid import uuid4

from shared.domain.dead_letter import Choice, DeadLetter
from shared.events import codec
from shared.events.event import Event
from shared.postgres import outbox
from shared.postgres.database import Database
from shared.postgres.dead_letters import PgDeadLetters
from shared.postgres.outbox import PgOutbox


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


# --- letters that the function itself keeps


def test_a_parked_event_has_its_cause_in_words_and_is_the_same_letter_when_a_sink_brings_it(database: Database) -> None:
    letters, event = PgDeadLetters(database), Event("1", "/s", "some.type", data=b"\x00\xff")
    letters.park(event, "http://intake/codex/tasks", "unsupported codex stage", 400)
    (parked,) = letters.choose(Choice())
    assert (parked.error_code, parked.cause, parked.times_seen) == ("400", "unsupported codex stage", 1)
    letters.keep(letter("http://intake/codex/tasks", "400"))
    (both,) = letters.choose(Choice())
    assert (both.id, both.times_seen, both.cause) == (parked.id, 2, "why")


def test_a_letter_with_huge_attributes_is_kept_and_found(database: Database) -> None:
    letters = PgDeadLetters(database)
    noise = token_hex(60_000)
    huge = Event(noise, f"/{noise}", noise, subject=noise, extensions={"knativeerrordest": noise, "other": noise})
    for _ in range(2):
        letters.keep(replace(huge, extensions={**huge.extensions, "knativeerrordata": noise}))
    (found,) = letters.choose(Choice(types=(noise,), destination=noise[:5000]))
    assert found.times_seen == 2 and len(found.error_data or "") == 8192


# --- choosing


def test_every_condition_must_hold(database: Database) -> None:
    letters = PgDeadLetters(database)
    letters.keep(letter("http://embedder.svc"))
    letters.keep(letter("http://dispatcher.svc"))
    letters.keep(replace(letter("http://dispatcher.svc"), type="other.type", id="2"))
    database.do(
        "UPDATE codex_kb.dead_letters SET last_seen_at = now() - interval '3 hours' WHERE type = 'other.type'", {}
    )
    for choice, expected in [
        (Choice(), 3),
        (Choice(types=("some.type", "no.type")), 2),
        (Choice(destination="dispatcher"), 2),
        (Choice(destination="%"), 0),
        (Choice(destination="dispatcher", types=("some.type",)), 1),
        (Choice(since_seconds=7200), 2),
        (Choice(since_seconds=999_999 * 86400), 3),
        (Choice(state="redriven"), 0),
    ]:
        assert (letters.count(choice), len(letters.choose(choice))) == (expected, expected), choice
    assert len(letters.choose(Choice(), limit=2)) == 2


def test_letters_are_found_by_the_beginning_of_their_id(database: Database) -> None:
    letters = PgDeadLetters(database)
    for number in range(20):
        letters.keep(replace(letter(), id=str(number)))
    for found in letters.choose(Choice()):
        (same,) = letters.beginning(found.id.hex)
        assert (same.id, codec.from_json(same.event.encode()).id) == (found.id, found.event_id)
        assert found.id in [one.id for one in letters.beginning(found.id.hex[:8])]
    assert len(letters.beginning("")) == 2
    assert letters.beginning("0" * 32) == []


# --- sending again


def only(letters: PgDeadLetters) -> DeadLetter:
    (found,) = letters.choose(Choice())
    return found


def test_a_redriven_event_goes_out_as_it_was_first_sent(database: Database) -> None:
    letters, sent = PgDeadLetters(database), list[Event]()
    letters.keep(letter(traceparent="00-trace"))
    redriven = letters.redrive(only(letters))
    assert redriven
    assert PgOutbox(database).relay(sent.append, older_than=0) == 1
    expected = Event("1", "/s", "some.type", subject="task", extensions={"traceparent": "00-trace"}, data=b"\x00\xff")
    assert sent == [redriven.event] == [expected]
    after = only(letters)
    assert (after.state, after.times_redriven, after.times_seen) == ("redriven", 1, 1)
    assert after.redriven_at and after.redriven_at >= after.last_seen_at


def test_two_that_redrive_the_same_letter_at_once_send_one_event(database: Database) -> None:
    letters = PgDeadLetters(database)
    letters.keep(letter())
    seen, start, results = only(letters), threading.Barrier(4), list[object]()

    def redrive() -> None:
        start.wait()
        results.append(letters.redrive(seen))

    threads = [threading.Thread(target=redrive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result is None for result in results) == [False, True, True, True]
    assert only(letters).times_redriven == 1
    assert len(database.all("SELECT FROM codex_kb.outbox", {})) == 1


def test_a_letter_that_comes_back_waits_again_and_can_be_redriven_again(database: Database) -> None:
    letters, sent = PgDeadLetters(database), list[Event]()
    letters.keep(letter())
    first = letters.redrive(only(letters))
    letters.keep(letter(code="503"))
    back = only(letters)
    assert (back.state, back.times_seen, back.error_code, back.times_redriven) == ("waiting", 2, "503", 1)
    second = letters.redrive(back)
    assert first and second and first.row != second.row
    assert PgOutbox(database).relay(sent.append, older_than=0) == 2
    assert sent[0] == sent[1]


def test_an_event_of_the_outbox_and_its_redriven_letter_do_not_displace_each_other(database: Database) -> None:
    letters, sent = PgDeadLetters(database), list[Event]()
    event = Event(str(uuid4()), "/s", "some.type")
    database.transaction(lambda cursor: outbox.add(cursor, event))
    letters.park(event, "http://somewhere", "no", 422)
    assert letters.redrive(only(letters))
    assert PgOutbox(database).relay(sent.append, older_than=0) == 2
    assert sent == [event, event]


def test_a_dropped_letter_is_gone_and_cannot_be_redriven(database: Database) -> None:
    letters = PgDeadLetters(database)
    letters.keep(letter())
    seen = only(letters)
    assert (letters.drop([seen.id]), letters.drop([seen.id])) == (1, 0)
    assert letters.redrive(seen) is None
    assert database.all("SELECT FROM codex_kb.outbox", {}) == []
