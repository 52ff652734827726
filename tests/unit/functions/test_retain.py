"""What embedder forgets on its tick: in batches, and not without end."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.embedder.retain import AT_ONCE, BATCHES, LOOKED_AT, Retain
from functions.embedder.settings import Settings
from shared.domain.memory_index import MemoryRow
from shared.settings import SettingsError, load
from tests.contract.stores.conftest import Stores, fakes
from tests.contract.stores.fake_forgetting import FakeRetention
from tests.contract.stores.fakes import FakeTasks

REQUIRED = {"FACTEUR_POSTGRES_DSN": "postgresql://h/d", "K_SINK": "http://broker"}


@dataclass
class Index:
    """A memory index with so many old pieces, vectors without a memory, and prompt files that are due."""

    old: int = 0
    asked: list[Any] = field(default_factory=list)
    due: int = 0

    def forget_old(self, days: Mapping[str, int], limit: int) -> int:
        self.asked.append(dict(days))
        gone = min(limit, self.old)
        self.old -= gone
        return gone

    def drop_unneeded(self, start: bytes, limit: int) -> int:
        self.asked.append((start, limit))
        return 0

    def purge(self, limit: int) -> int:
        gone = min(limit, self.due)
        self.due -= gone
        return gone


def retain(index: Any, **days: int) -> Retain:
    return Retain(index, days, lambda: b"anywhere")


def test_what_is_old_goes_in_batches_until_there_is_no_more() -> None:
    index = Index(old=2 * AT_ONCE + 1)
    retain(index, prompt=30)()
    assert index.old == 0
    assert index.asked == [{"prompt": 30}] * 3 + [(b"anywhere", LOOKED_AT)]


def test_a_tick_has_an_end_and_the_next_one_goes_on() -> None:
    index = Index(old=AT_ONCE * BATCHES + 5)
    for left in (5, 0):
        retain(index, prompt=30)()
        assert index.old == left


def test_without_days_nothing_is_old_and_the_rest_is_done() -> None:
    index = Index(old=5, due=150)
    retain(index)()
    assert (index.old, index.due, index.asked) == (5, 0, [(b"anywhere", LOOKED_AT)])


def test_what_was_forgotten_is_said_once_and_by_numbers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    index = Index(old=3)
    for _ in range(2):
        retain(index, prompt=30)()
    (said,) = caplog.records
    assert (said.message, said.__dict__["facts"]) == (
        "memories forgotten",
        {"memories": 3, "unneeded_vectors": 0, "prompts": 0},
    )


def test_old_memories_and_their_vectors_go() -> None:
    stores: Stores = fakes()
    assert isinstance(stores.tasks, FakeTasks)
    world = stores.tasks.world
    stores.models.in_use("model:1")
    task = stores.accept("one").run_id
    (text,) = stores.memories.missing([task], 9)
    row = MemoryRow(task, text, 0, text.text, text.text.encode(), (1.0,), "model:1")
    stores.memories.store([row], None, None)
    world.ages = dict.fromkeys(world.memories, 31)
    retain(FakeRetention(world), prompt=30)()
    assert (world.memories, world.vectors, stores.memories.missing([task], 9)) == ({}, {}, [])


@pytest.mark.parametrize(
    ("raw", "days"),
    [
        ("", {}),
        ("{}", {}),
        ('{"events": 30, "*": 365}', {"events": 30, "*": 365}),
        ('{"change-shape": "90"}', {"change-shape": 90}),
    ],
)
def test_the_days_of_kinds_are_read(raw: str, days: Mapping[str, int]) -> None:
    assert dict(load(Settings, {**REQUIRED, "FACTEUR_MEMORY_RETENTION": raw}).retention) == days


@pytest.mark.parametrize(
    "raw",
    [
        "30",
        "[]",
        '{"events": 0}',
        '{"events": -1}',
        '{"events": 1.5}',
        '{"events": true}',
        '{"events": null}',
        '{"events": "30 days"}',
        '{"events": 100000}',
        '{"event": 30}',
        '{"": 30}',
        '{"*": 1, "*": 2}',
    ],
)
def test_days_that_are_none_and_kinds_that_there_are_not_are_refused(raw: str) -> None:
    with pytest.raises(SettingsError, match="FACTEUR_MEMORY_RETENTION must"):
        load(Settings, {**REQUIRED, "FACTEUR_MEMORY_RETENTION": raw})
