"""Stores in memory, and everything that the use cases say."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.dispatcher.dispatch import Dispatch
from functions.dispatcher.launch import Launch, Memories, Snapshots
from functions.dispatcher.look_after import LookAfter, Patience
from functions.dispatcher.recipe import Recipe
from shared.domain.manifests import Seen
from shared.domain.policy import Policy, Rule, Verdict
from shared.domain.task import Mode, Target
from shared.events.event import Event
from tests.contract.jobs.fake_jobs import FakeJobs
from tests.contract.stores.conftest import Stores, fakes


class Said(list[Event]):
    """What was announced."""

    def __call__(self, *events: Event) -> None:
        self.extend(events)

    @property
    def types(self) -> list[str]:
        return [event.type.removeprefix("ai.proompteng.codex.") for event in self]


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RECIPE = Recipe("k" * 32, "http://callback", "http://memory", ("agent", "run"), "codex:1", "runner", memory_tokens=500)
EVERYTHING = Policy([Rule("all", ["*"], ["*"], ["*"], ["*"], images=["*"], service_accounts=["*"])], "v1")
ALLOWED = Verdict(True, "all", "", "v1")


@dataclass
class Shelf:
    """A cluster with one object, under any name."""

    manifest: dict[str, Any] | None

    def look(self, targets: Sequence[Target]) -> list[Seen]:
        return [Seen(target, self.manifest) for target in targets]


class Dispatcher:
    """The use cases of the dispatcher over stores and one kind of jobs, as its wiring puts them together."""

    def __init__(
        self,
        stores: Stores,
        jobs: FakeJobs,
        said: Said,
        policy: Policy = EVERYTHING,
        recipe: Recipe = RECIPE,
        patience: Patience | None = None,
        memories: Memories | None = None,
        targets: Shelf | None = None,
    ) -> None:
        self.policy = policy
        doors = {Mode.DIRECT: jobs, Mode.ARGO: jobs}
        snapshots = Snapshots(targets, stores.launches, b"key")
        self.launch = Launch(
            stores.launches,
            doors,
            memories or stores.search,
            stores.trials,
            snapshots,
            said,
            lambda: NOW,
            lambda: "nonce-of-16-chars",
            lambda _: {},
            recipe,
        )
        self.dispatch = Dispatch(
            stores.queue, stores.launches, stores.runs, doors, lambda: self.policy, self.launch, said, recipe
        )
        self.look_after = LookAfter(
            stores.runs,
            stores.launches,
            stores.queue,
            doors,
            self.dispatch,
            snapshots,
            stores.outbox,
            lambda _: None,
            patience or Patience(),
        )


@pytest.fixture
def stores() -> Stores:
    return fakes()


@pytest.fixture
def said() -> Said:
    return Said()
