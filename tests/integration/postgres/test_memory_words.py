"""Which words of a question are looked up: so few that long questions cost no more, and those that say most."""

from collections.abc import Callable
from itertools import product
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.ids import stable_id
from shared.domain.memory_index import Filters, MemoryRow, Question
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.memory_words import CHARACTERS, WORDS, beginning
from tests.integration.postgres.conftest import AcceptTask

MODEL = "model:3"
# Words of one length, none of which is a form of another.
NAMES = ["".join(syllables) + "ox" for syllables in product(("ba", "ku", "zi", "mo", "ve"), repeat=3)][:100]
AMONG = 60

Remember = Callable[[str], UUID]


@pytest.fixture
def remember(accept: AcceptTask, database: Database) -> Remember:
    """Makes a memory of a text; the id of its task."""
    memories = PgMemories(database)
    PgMemoryModels(database).in_use(MODEL)

    def remember(content: str) -> UUID:
        task = accept(content, prompt=content).run_id
        (text,) = memories.missing([task], 9)
        row = MemoryRow(stable_id("memory", content), text, 0, content, content.encode(), (1.0, 0.0, 0.0), MODEL)
        memories.store([row], None, None)
        return task

    return remember


def found(database: Database, text: str) -> list[UUID]:
    """The tasks of all memories that fit the words of a text."""
    search = PgMemorySearch(database)
    return [one.memory.task_id for one in search.search(Question(MODEL, text), Filters("default", uuid4()), 1000)]


def test_however_many_words_a_question_has_so_many_are_looked_up(remember: Remember, database: Database) -> None:
    for name in NAMES[:AMONG]:
        remember(name)
    assert len(found(database, " ".join(NAMES[:WORDS]))) == WORDS
    for words in (NAMES[:AMONG], NAMES, [f"{name}{number}" for name in NAMES for number in range(9)] + NAMES):
        assert len(found(database, " ".join(words))) <= WORDS


def test_rare_words_come_first_then_those_that_are_repeated_and_then_long_ones(
    remember: Remember, database: Database, dsn: str
) -> None:
    common, *others = NAMES
    for number in range(30):
        remember(f"{common} {number}")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("ANALYZE codex_kb.codex_task_memory_index")
    repeated, long = remember("aox"), remember("longestwordofall")
    question = f"aox aox longestwordofall {common} {common} {common} {' '.join(others)}"
    assert set(found(database, question)) == {repeated, long}
    assert len(found(database, f"aox {common}")) == 31, "common words are looked up where there is room"


def test_a_text_is_read_up_to_a_length_and_no_word_is_cut(remember: Remember, database: Database) -> None:
    handle, bars, _ = (remember(word) for word in ("handle", "bars", "handlebars"))
    room = CHARACTERS - len("handle")
    assert set(found(database, f"{'bars '.ljust(room)}handle")) == {bars, handle}
    assert found(database, f"{'bars '.ljust(room)}handlebars") == [bars]
    assert found(database, f"{'bars '.ljust(CHARACTERS)} handle handlebars") == [bars]


def test_a_text_without_a_space_is_cut_and_one_of_nothing_else_is_empty() -> None:
    assert beginning("x" * (CHARACTERS + 1)) == "x" * CHARACTERS
    assert beginning(" " * (CHARACTERS + 1) + "x") == ""
    assert beginning("") == ""
