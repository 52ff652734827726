"""`facteur dlq` as a person meets it: the real command, on a real database."""

import json
import os
import pty
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from shared.domain.dead_letter import Choice, DeadLetter
from shared.domain.ids import run_id
from shared.events import codec
from shared.events.catalogue import TASK_REQUESTED, TaskAccepted, announce
from shared.events.event import Event
from shared.local.state import free_port
from shared.postgres.database import Database
from shared.postgres.dead_letters import PgDeadLetters
from shared.postgres.outbox import PgOutbox
from tests.architecture.markdown import fences
from tests.component.functions import Sink, sink

FACTEUR = str(Path(sys.executable).with_name("facteur"))
Run = Callable[..., "subprocess.CompletedProcess[str]"]
# What must not reach a terminal: escapes in their short and long form, and what turns a line around.
ACTIVE = ("\x1b", "\x9b", "\x07", "\x7f", "\u202e", "\u2066", "\u200b")
SECRET = "ghp_" + "a" * 36


@pytest.fixture
def run(dsn: str) -> Run:
    """Run `facteur dlq` with arguments on the database of the test, without a terminal."""

    def run(*arguments: str, **extra: str) -> "subprocess.CompletedProcess[str]":
        own = ("FACTEUR_POSTGRES_DSN", "K_SINK")
        env = {name: value for name, value in os.environ.items() if name not in own}
        return subprocess.run(
            [FACTEUR, "dlq", *arguments],
            env=env | {"FACTEUR_POSTGRES_DSN": dsn} | extra,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def letters(database: Database) -> PgDeadLetters:
    return PgDeadLetters(database)


@pytest.fixture
def broker() -> Iterator[Sink]:
    with sink() as running:
        yield running


def bury(letters: PgDeadLetters, event_id: str = "1", **changes: object) -> DeadLetter:
    """A dead letter of a task that was asked for with a wrong body."""
    said = {"knativeerrordest": "http://intake/", "knativeerrorcode": "400", "knativeerrordata": "eyJkZXRhaWwiOiJubyJ9"}
    event = Event(event_id, "/tests", TASK_REQUESTED, datacontenttype="application/json", data=b'{"prompt": 1}')
    event = replace(event, extensions=said)
    letters.keep(replace(event, **changes))  # type: ignore[arg-type]  # fields of an event
    return letters.choose(Choice())[0]


def printed(done: "subprocess.CompletedProcess[str]") -> str:
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def refused(done: "subprocess.CompletedProcess[str]", code: int = 2) -> str:
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    return done.stderr


# --- looking


def test_the_list_says_what_came_how_often_and_why(run: Run, letters: PgDeadLetters) -> None:
    for _ in range(3):
        letter = bury(letters)
    first, second = printed(run("ls")).splitlines()
    assert first.split()[:2] == [str(letter.id)[:8], "waiting"]
    assert first.endswith("task.requested  buried 3 times")
    assert second.strip() == "http://intake/ answered 400: no"
    (document,) = json.loads(printed(run("ls", "--json")))
    assert {key: document[key] for key in ("id", "state", "type", "eventId", "status", "cause", "attempts")} == {
        "id": str(letter.id),
        "state": "waiting",
        "type": TASK_REQUESTED,
        "eventId": "1",
        "status": "400",
        "cause": "no",
        "attempts": 3,
    }
    assert document["answer"] == '{"detail":"no"}' and document["redrivenAt"] is None


def test_the_list_can_be_narrowed(run: Run, letters: PgDeadLetters) -> None:
    bury(letters)
    bury(letters, "2", type="some.type", extensions={"knativeerrordest": "http://embedder/"})
    for arguments, found in [
        ((), {"1", "2"}),
        (("--type", "task.requested"), {"1"}),
        (("--type", TASK_REQUESTED), {"1"}),
        (("--type", "some.type"), {"2"}),
        (("--destination", "embedder", "--since", "2h"), {"2"}),
        (("--destination", "embedder", "--type", "task.requested"), set()),
        (("--state", "redriven"), set()),
    ]:
        listed = json.loads(printed(run("ls", "--json", *arguments)))
        assert {letter["eventId"] for letter in listed} == found, arguments
    assert printed(run("ls", "--limit", "1")).splitlines()[-1] == "1 of 2: --limit shows more"
    assert printed(run("ls", "--type", "none")) == "no dead letters\n"


def test_a_letter_is_shown_with_its_event_and_without_credentials(run: Run, letters: PgDeadLetters) -> None:
    manifest = f"apiVersion: v1\nkind: Secret\nstringData:\n  pw: top-secret-word\n# {SECRET}\n"
    data = {"prompt": manifest, "metadata": {"password": 123456789}, "url": "http://u:hunter22@h/"}
    letter = bury(letters, data=json.dumps(data).encode(), source=f"/s/{SECRET}")
    name = str(letter.id)[:8]
    text, document = printed(run("show", name)), json.loads(printed(run("show", name.upper(), "--json")))
    for shown in (text, json.dumps(document)):
        assert not any(word in shown for word in (SECRET, "top-secret-word", "123456789", "hunter22"))
    assert document["event"]["data"]["prompt"].startswith("apiVersion: v1\nkind: Secret\n")
    assert document["event"]["knativeerrordata"] == '{"detail":"no"}'
    assert f"id           {letter.id}" in text and "cause        no" in text
    raw = json.loads(printed(run("show", str(letter.id), "--json", "--raw")))
    assert raw["event"]["data"] == data
    assert SECRET in printed(run("show", name, "--raw"))


def test_nothing_in_a_letter_can_act_on_a_terminal(run: Run, letters: PgDeadLetters) -> None:
    active = "".join(ACTIVE) + "[bold red]x[/bold red] [link=http://evil]\n\r\t"
    letter = bury(
        letters,
        "id\u202e[/red]",
        source="/s",
        subject="[/bold]\u2066\u200b",
        type="some\u202etype",
        datacontenttype="text/plain",
        data=active.encode(),
        extensions={"knativeerrordest": "http://h/\u202e", "knativeerrorcode": "[red]", "knativeerrordata": "[blink]"},
    )
    letters.park(Event("2", "/s", "t"), "d", active, 400)
    for arguments in (["ls"], ["ls", "--json"], ["show", letter.id.hex], ["show", letter.id.hex, "--json", "--raw"]):
        shown = printed(run(*arguments))
        assert not any(character in shown for character in ACTIVE), arguments
        assert "\r" not in shown
    shown = json.loads(printed(run("show", letter.id.hex, "--json")))
    assert shown["event"]["data"] == active
    assert "some\\u202etype" in printed(run("ls"))
    assert "[bold red]x[/bold red]" in printed(run("show", letter.id.hex))


def test_binary_data_is_shown_by_its_size(run: Run, letters: PgDeadLetters) -> None:
    letter = bury(letters, datacontenttype="application/x-protobuf", data=bytes(range(256)))
    shown = json.loads(printed(run("show", letter.id.hex, "--json")))
    assert shown["event"]["data_base64"] == "(256 bytes, to be seen with --raw)"
    raw = json.loads(printed(run("show", letter.id.hex, "--json", "--raw")))
    assert codec.from_json(json.dumps(raw["event"]).encode()).data == bytes(range(256))


def test_a_huge_letter_is_listed_on_two_lines(run: Run, letters: PgDeadLetters) -> None:
    bury(letters, type="t" * 100_000, extensions={"knativeerrordest": "d" * 100_000, "knativeerrordata": "!" * 100_000})
    lines = printed(run("ls")).splitlines()
    assert len(lines) == 2 and max(map(len, lines)) < 250


# --- sending again


def test_a_redriven_letter_is_in_the_outbox_and_says_when_it_goes(
    run: Run, letters: PgDeadLetters, database: Database
) -> None:
    letter, sent = bury(letters), list[Event]()
    said = printed(run("redrive", str(letter.id)[:13]))
    assert said.splitlines() == [
        "redriven 1 dead letter",
        "1 in the outbox, to be published by the dispatcher's tick within 60 seconds",
    ]
    assert PgOutbox(database).relay(sent.append, older_than=0) == 1
    assert (sent[0].id, sent[0].source, dict(sent[0].extensions)) == ("1", "/tests", {})
    assert "redriven  " in printed(run("ls")) and "redriven once" in printed(run("ls"))


def test_with_a_sink_the_event_is_published_at_once(
    run: Run, letters: PgDeadLetters, database: Database, broker: Sink
) -> None:
    letter = bury(letters)
    said = printed(run("redrive", letter.id.hex, K_SINK=broker.url))
    assert said == "redriven 1 dead letter, 1 of them published at once\n"
    assert [event.id for event in broker.events] == ["1"]
    assert database.all("SELECT FROM codex_kb.outbox", {}) == []


@pytest.mark.parametrize("status", [400, 503, None])
def test_what_the_sink_does_not_take_stays_in_the_outbox(
    run: Run, letters: PgDeadLetters, database: Database, broker: Sink, status: int | None
) -> None:
    broker.status = status or 202
    url = broker.url if status else f"http://127.0.0.1:{free_port()}"
    said = printed(run("redrive", bury(letters).id.hex, "--sink", url))
    assert "1 in the outbox" in said and "published at once" not in said
    assert len(database.all("SELECT FROM codex_kb.outbox", {})) == 1


def test_all_are_those_that_wait_and_fit(run: Run, letters: PgDeadLetters, database: Database) -> None:
    for number in range(105):
        bury(letters, str(number))
    bury(letters, "other", type="some.type")
    assert "give the ids of letters, or --all" in refused(run("redrive"))
    assert "repeat it with --yes" in refused(run("redrive", "--all"))
    said = printed(run("redrive", "--all", "--type", "task.requested", "--yes"))
    assert said.splitlines() == [
        "redriven 105 dead letters",
        "105 in the outbox, to be published by the dispatcher's tick within 2 minutes",
    ]
    again = printed(run("redrive", "--all", "--yes")).splitlines()
    assert again[0] == "redriven 1 dead letter"
    assert again[2].startswith("1 of a type that no function hears")
    assert printed(run("redrive", "--all", "--yes")) == "redriven 0 dead letters\n"
    assert len(database.all("SELECT FROM codex_kb.outbox", {})) == 106


# --- forgetting


def test_letters_are_dropped_only_when_that_was_confirmed(run: Run, letters: PgDeadLetters) -> None:
    letter = bury(letters)
    assert "repeat it with --yes" in refused(run("drop", letter.id.hex))
    assert letters.count(Choice()) == 1
    assert printed(run("drop", letter.id.hex, str(letter.id), "--yes")) == "dropped 1 dead letter\n"
    assert letters.count(Choice()) == 0


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 1), ("y", 0, 0)])
def test_on_a_terminal_a_drop_is_asked_for(letters: PgDeadLetters, dsn: str, answer: str, code: int, left: int) -> None:
    bury(letters)
    terminal, end = pty.openpty()
    try:
        os.write(terminal, f"{answer}\n".encode())
        command = [FACTEUR, "dlq", "drop", "--all", "--state", "waiting", "--dsn", dsn]
        done = subprocess.run(command, stdin=end, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(terminal)
        os.close(end)
    assert (done.returncode, "Drop 1 dead letter for ever?" in done.stdout) == (code, True), done.stderr
    assert letters.count(Choice()) == left


def test_the_document_shows_what_the_commands_print(run: Run, letters: PgDeadLetters) -> None:
    shown = fences("docs/operations.md", "text")
    event = announce(TaskAccepted(run_id("an-example")), "codex-intake", None)
    answer = b64encode(b'{"detail": "the database is away: try again"}').decode()
    said = {"dest": "http://embedder.default.svc.cluster.local/", "code": "503", "data": answer}
    for _ in range(2):
        letters.keep(replace(event, extensions={f"knativeerror{name}": value for name, value in said.items()}))
    time = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    listed = printed(run("ls"))
    assert re.sub(time, "TIME", listed) == re.sub(time, "TIME", shown[0])
    assert printed(run("redrive", listed[:8])) == shown[1]


# --- what can go wrong


def test_wrong_use_is_one_sentence_that_says_what_to_write(run: Run, letters: PgDeadLetters) -> None:
    letter = bury(letters)
    for arguments, said in [
        (("show", "1234567"), "8 to 32 hexadecimal digits"),
        (("show", "not-an-id"), "8 to 32 hexadecimal digits"),
        (("drop", "\x1b[31m"), "8 to 32 hexadecimal digits"),
        (("ls", "--since", "yesterday"), "--since must be a number and s, m, h or d"),
        (("redrive", letter.id.hex, "--all"), "give the ids of letters, or --all"),
        (("drop", letter.id.hex, "--type", "x", "--yes"), "other conditions go with --all"),
        (("redrive", letter.id.hex, "--sink", "broker"), "K_SINK must be a URL"),
        (("ls", "--dsn", ""), "FACTEUR_POSTGRES_DSN is not set"),
    ]:
        sentence = refused(run(*arguments, FACTEUR_POSTGRES_DSN="") if "" in arguments else run(*arguments))
        assert said in sentence and sentence.count("\n") == 1, arguments
    assert letters.count(Choice(state="waiting")) == 1


def test_an_unknown_id_changes_nothing_for_the_others(run: Run, letters: PgDeadLetters) -> None:
    letter = bury(letters)
    unknown = UUID(int=letter.id.int ^ 1 << 127)
    sentence = refused(run("redrive", letter.id.hex, str(unknown)), 1)
    assert sentence == (f"no dead letter has an id that begins with {unknown.hex}: `facteur dlq ls` shows them\n")
    assert letters.count(Choice(state="waiting")) == 1


def test_an_ambiguous_beginning_names_both(run: Run, letters: PgDeadLetters, database: Database) -> None:
    first = bury(letters)
    second = UUID(int=first.id.int ^ 1)
    bury(letters, "2")
    database.do("UPDATE codex_kb.dead_letters SET id = %(id)s WHERE event_id = '2'", {"id": second})
    sentence = refused(run("show", first.id.hex[:8]), 1)
    assert "more than one" in sentence and str(first.id) in sentence and str(second) in sentence
    assert printed(run("show", first.id.hex)).startswith(f"id           {first.id}")


def test_a_database_that_is_away_or_empty_is_one_sentence(run: Run, empty_dsn: str) -> None:
    away = f"postgresql://facteur:a-password@127.0.0.1:{free_port()}/x"
    for dsn, said in [
        (away, "the database is away"),
        (empty_dsn, "run `facteur migrate`"),
        ("postgresql://[", "must be like postgresql://"),
    ]:
        sentence = refused(run("ls", "--dsn", dsn), 1)
        assert said in sentence and sentence.count("\n") == 1 and "a-password" not in sentence
