"""Another model for the vectors: what is missing, how recall is told, when nothing is switched, and what is dropped."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.cli.migration_parts import Parts, drop_retired
from shared.cli.model_migration import ModelMigration, NotGoodEnough
from shared.domain.errors import InFlight, Rejected, Throttled, Unavailable
from shared.domain.ids import stable_id
from shared.domain.memory_index import MemoryRow, Text
from shared.embeddings.coalescing import Coalescing
from shared.embeddings.offline import OfflineEmbedder
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_migration import PgMigration, alone
from shared.postgres.memory_model_views import PgModelViews
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.redis.connection import Connection
from shared.redis.fresh_vectors import RedisFreshVectors
from shared.redis.pace import RedisPace
from tests.integration.postgres.conftest import AcceptTask
from tests.integration.postgres.generated_memories import generate_rows

OLD, NEW = "old:3", "new:64"
_STATES = "SELECT model, state FROM codex_kb.memory_models"
_KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"


class Api:
    """A model with the vectors of the offline embedder, unless it is told what to say instead."""

    model, dimension = "new", 64

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.made: list[str] = []
        self.failures: list[Exception] = []
        self.refused = ""
        self.alike = False

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        if self.failures:
            raise self.failures.pop(0)
        if self.refused in texts or self.refused == "all":
            raise Rejected("the embedding API refuses this text")
        self.made += texts
        if self.alike:  # of one sketch, all of them
            return [[1 / 64 + abs(number) for number in vector] for vector in OfflineEmbedder(64).embed(texts)]
        return OfflineEmbedder(64).embed(texts)


class Told:
    """What a view is told."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self.notes: list[str] = []

    def begin(self, step: str, total: int) -> None:
        self._step = step

    def advance(self, done: int) -> None: ...

    def at(self, share: float, doing: str) -> None: ...

    def note(self, why: str) -> None:
        self.notes.append(why)

    def end(self, result: str) -> None:
        self.results.append(f"{self._step}: {result}")


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(database: Database) -> PgMigration:
    return PgMigration(database)


@pytest.fixture
def parts(dsn: str, database: Database, store: PgMigration) -> Parts:
    search, models, views = PgMemorySearch(database), PgMemoryModels(database), PgModelViews(database)
    return Parts(store, models, views, search, lambda model: PgMemoryIndexes(dsn, model))


@contextmanager
def migration(dsn: str, parts: Parts, api: Api, told: Told) -> Iterator[ModelMigration]:
    nobody = Connection(None)
    coalescing = Coalescing(api, RedisPace(nobody, NEW), RedisFreshVectors(nobody), gather=0.0)
    with alone(dsn) as held:
        yield ModelMigration(parts, coalescing, held, told, sleep=lambda _: None)


def remember(database: Database, accept: AcceptTask, *contents: str, tenant: str = "default") -> list[UUID]:
    """A task for each content, which the old model knows."""
    memories = PgMemories(database)
    PgMemoryModels(database).in_use(OLD)
    tasks = [accept(str(uuid4()), tenant=tenant).run_id for _ in contents]
    for task, content in zip(tasks, contents, strict=True):
        text = Text(task, "prompt", str(task), content, tenant, "", (), (), ())
        row = MemoryRow(stable_id("memory", str(task)), text, 0, content, content.encode(), (1.0, 0.0, 0.0), OLD)
        memories.store([row], None, None)
    return [stable_id("memory", str(task)) for task in tasks]


def states(database: Database) -> dict[str, str]:
    return {row["model"]: row["state"] for row in database.all(_STATES, {})}


def test_each_content_without_a_vector_is_met_once_in_the_order_of_hashes(
    accept: AcceptTask, database: Database, store: PgMigration
) -> None:
    remember(database, accept, "c", "a", "b", "a", "d")
    store.begin(NEW)
    assert store.missing_size(NEW) == (4, 4)
    assert store.missing(NEW, b"", 2) == [(b"a", "a"), (b"b", "b")]
    store.keep([(NEW, b"b", [1.0] * 64), (NEW, b"c", None)])
    assert store.missing(NEW, b"", 9) == [(b"a", "a"), (b"d", "d")]
    assert store.missing(NEW, b"a", 9) == [(b"d", "d")]
    assert store.missing_size(NEW) == (2, 2)
    assert store.missing_size(OLD) == (0, 0)


def test_recall_is_of_the_nearest_contents_of_the_tenant_without_the_question_itself(
    accept: AcceptTask, database: Database, store: PgMigration
) -> None:
    mine = remember(database, accept, "asked", "asked", "near", "near", "next", "far")
    remember(database, accept, "nearest of all", tenant="elsewhere")
    store.begin(NEW)
    angles = {"asked": 0.0, "nearest of all": 0.01, "near": 0.1, "next": 0.2, "far": 2.0}
    store.keep([(NEW, text.encode(), [1.0, angle, *[0.0] * 62]) for text, angle in angles.items()])
    (asked,) = [one for one in store.sample(NEW, 99) if one.content_hash == b"asked"][:1]
    _, _, near, twin, following, far = mine

    def recall(*found: UUID, limit: int = 2) -> float:
        (share,) = store.recalls(NEW, [asked], [found], limit)
        return share

    assert recall(near, following) == 1.0
    assert recall(near, far) == 0.5
    assert recall(near, twin) == 0.5, "a content counts once"
    assert recall(*mine[:2], far) == 0.0, "the content that asks counts for nothing"
    assert recall() == 0.0
    assert recall(near, following, far, limit=9) == 1.0, "there are no more"
    assert recall(near, following, limit=9) == pytest.approx(2 / 3)
    assert store.recalls(NEW, [asked, asked], [[near, following], [far]], 2) == [1.0, 0.0]


def test_a_second_migration_is_told_of_the_first_and_may_follow_it(dsn: str) -> None:
    with alone(dsn), pytest.raises(InFlight, match="another migration is running"), alone(dsn):
        pass
    with alone(dsn) as held:
        held.check()


def test_who_loses_his_connection_stops(dsn: str) -> None:
    with alone(dsn) as held:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute(_KILL, [other.info.backend_pid])
        with pytest.raises(Unavailable, match="connection"):
            held.check()


def test_texts_are_embedded_once_and_the_old_vectors_go(
    accept: AcceptTask, database: Database, dsn: str, parts: Parts, api: Api, told: Told
) -> None:
    remember(database, accept, "one", "two", "two", "bad", *map(str, range(60)))
    api.refused = "bad"
    with migration(dsn, parts, api, told) as run:
        run.run(0.98, 100, keep_old=False)
    assert states(database) == {NEW: "active"}
    assert {(one.model, one.made, one.refused, one.missing) for one in parts.views.models()} == {(NEW, 62, 1, 0)}
    assert sorted(api.made) == sorted(["one", "two", *map(str, range(60))]), "each once"
    assert told.results[0] == "texts embedded: all but 1 that the model refuses"
    asked = len(api.asked)
    with migration(dsn, parts, api, told) as run:
        run.run(0.98, 100, keep_old=False)
    assert len(api.asked) == asked


def test_old_vectors_that_are_kept_need_not_be_made_again(
    accept: AcceptTask, database: Database, dsn: str, parts: Parts, api: Api, told: Told
) -> None:
    remember(database, accept, "one", "two")
    with migration(dsn, parts, api, told) as run:
        run.run(0.98, 100, keep_old=True)
    assert states(database) == {OLD: "retiring", NEW: "active"}
    assert parts.store.missing_size(OLD) == (0, 0)
    PgMemoryModels(database).switch(OLD)
    asked = len(api.asked)
    with migration(dsn, parts, api, told) as run:
        run.run(0.98, 100, keep_old=False)
    assert len(api.asked) == asked
    assert states(database) == {NEW: "active"}
    assert parts.store.missing_size(OLD) == (2, 6)


def test_a_model_whose_vectors_are_not_found_is_not_in_use(
    database: Database, dsn: str, parts: Parts, api: Api, told: Told
) -> None:
    generate_rows(dsn, 3000)
    PgMemoryModels(database).in_use(OLD)
    api.alike = True
    with (
        migration(dsn, parts, api, told) as run,
        pytest.raises(NotGoodEnough, match=r"recall 0\.\d+ .* 0\.98 is wanted"),
    ):
        run.run(0.98, 40, keep_old=False)
    assert states(database) == {OLD: "active", NEW: "filling"}
    assert parts.store.give_up()
    drop_retired(parts, told)
    assert states(database) == {OLD: "active"}
    assert parts.store.missing_size(NEW)[0] == 3000


def test_a_model_that_refuses_what_is_there_is_not_in_use(
    accept: AcceptTask, database: Database, dsn: str, parts: Parts, api: Api, told: Told
) -> None:
    remember(database, accept, "one", "two", "three")
    api.refused = "all"
    with migration(dsn, parts, api, told) as run, pytest.raises(NotGoodEnough, match="refuses 3 of 3 texts"):
        run.run(0.98, 100, keep_old=False)
    assert states(database) == {OLD: "active", NEW: "filling"}


def test_a_pause_is_waited_for_and_what_only_a_person_can_mend_is_not(
    accept: AcceptTask, database: Database, dsn: str, parts: Parts, api: Api, told: Told
) -> None:
    remember(database, accept, "one")
    api.failures = [Throttled("the embedding API asks for fewer requests", 1)]
    with migration(dsn, parts, api, told) as run:
        run.run(0.98, 100, keep_old=True)
    assert told.notes[0] == "the embedding API asks for fewer requests"
    assert api.asked == ["one", "one"]
    remember(database, accept, "two")
    api.failures = [Unavailable("the embedding API refuses the key: check OPENAI_API_KEY", 300)]
    with migration(dsn, parts, api, told) as run, pytest.raises(Unavailable, match="check OPENAI_API_KEY"):
        run.run(0.98, 100, keep_old=True)
    assert api.asked == ["one", "one", "two"]


def test_who_is_storing_memories_is_waited_for(
    accept: AcceptTask, database: Database, hasty: Database, dsn: str, parts: Parts, api: Api
) -> None:
    remember(database, accept, "one")
    with psycopg.connect(dsn) as other:

        class Releasing(Told):
            def note(self, why: str) -> None:
                super().note(why)
                other.rollback()

        told = Releasing()
        other.execute("SELECT pg_advisory_xact_lock(%s)", [0x6661_6374_6D6F_6465])
        with migration(dsn, replace(parts, store=PgMigration(hasty), models=PgMemoryModels(hasty)), api, told) as run:
            run.run(0.98, 100, keep_old=True)
    assert len(told.notes) == 1
    assert api.asked == ["one"]
    assert states(database) == {OLD: "retiring", NEW: "active"}


def test_a_vector_of_a_dropped_model_does_not_come_back(
    accept: AcceptTask, database: Database, dsn: str, parts: Parts, api: Api, told: Told
) -> None:
    """Whether a process that has not noticed makes it while the others are dropped, or afterwards."""

    class Late(PgMigration):
        done = False

        def drop(self, model: str, limit: int) -> int:
            gone = super().drop(model, limit)
            if not gone and not self.done:
                self.done = True
                self.keep([(model, b"one", (1.0, 0.0, 0.0))])
            return gone

    remember(database, accept, "one")
    late = Late(database)
    with migration(dsn, replace(parts, store=late), api, told) as run:
        run.run(0.98, 100, keep_old=False)
    assert late.done
    assert late.missing_size(OLD) == (1, 3)
    late.keep([(OLD, b"one", (1.0, 0.0, 0.0))])
    assert late.missing_size(OLD) == (1, 3)
    assert states(database) == {NEW: "active"}


def test_two_models_are_never_filled_at_once(database: Database, store: PgMigration) -> None:
    store.begin(NEW)
    store.begin(NEW)
    with pytest.raises(psycopg.errors.UniqueViolation):
        store.begin("third:3")
    assert store.give_up()
    assert not store.give_up()
    store.begin(NEW)
    assert states(database) == {NEW: "filling"}


def test_an_index_that_another_process_makes_is_waited_for(dsn: str, parts: Parts) -> None:
    generate_rows(dsn, 12_000)
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "INSERT INTO codex_kb.codex_task_memory_vectors (model, content_hash, embedding) "
            "SELECT %s, content_hash, '[1,2,3]' FROM codex_kb.codex_task_memory_index",
            [OLD],
        )
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [0x6661_6374_6E65_6172])
        assert not parts.indexes(OLD).finish()
        thread = threading.Thread(target=lambda: parts.indexes(OLD).finish())
        other.execute("SELECT pg_advisory_unlock_all()")
        thread.start()
        thread.join()
    assert parts.indexes(OLD).finish()
    index = parts.views.index(OLD)
    assert index and index.valid
    parts.indexes(OLD).drop()
    assert parts.views.index(OLD) is None
