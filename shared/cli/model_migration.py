"""From one model to another while both are read: every step may be interrupted, and is gone on with by the next run."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from shared.cli.migration_parts import Parts, View, drop_retired, patiently
from shared.domain.errors import FacteurError, Rejected, Unavailable
from shared.domain.memory_index import Filters, Question
from shared.embeddings.coalescing import AT_ONCE, Coalescing
from shared.embeddings.in_use import NOTICED_SECONDS
from shared.embeddings.openai import SETTING_RETRY_SECONDS, WrongLength
from shared.embeddings.settings import TIMEOUT_SECONDS
from shared.postgres.memory_indexes import PgMemoryIndexes
from shared.postgres.memory_migration import Held, Sampled

# Longer than a process goes on with the model before, and than it takes to answer what it was asked meanwhile.
UNTIL_NOTICED_SECONDS = NOTICED_SECONDS + TIMEOUT_SECONDS + 5
_PATIENCE_SECONDS = 60.0
# Where texts never stop coming, what is left of them waits for the embedder's tick.
_PASSES = 10
_NEAREST = 10
# Outcome and age move a memory by fewer places than are asked for beside the nearest.
_ASKED = 25
_QUESTIONS_AT_ONCE = 20
# Vectors of another length, so many times in a row, are no fault that passes.
_WRONG_AT_MOST = 3


class NotGoodEnough(FacteurError):
    """Vectors of the new model are not found well enough for it to be in use."""


class ModelMigration:
    """Makes `embedder`'s model the one in use, and drops what the models before have made."""

    def __init__(
        self, parts: Parts, embedder: Coalescing, held: Held, view: View, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._parts = parts
        self._embedder = embedder
        self._to = f"{embedder.model}:{embedder.dimension}"
        self._held = held
        self._view = view
        self._sleep = sleep
        self._wrong = 0

    def run(self, least_recall: float, questions: int, keep_old: bool) -> None:
        """Unavailable or NotGoodEnough where it cannot go on; what was done until then stays."""
        if self._parts.store.states().get(self._to) != "active":
            self._parts.store.begin(self._to)
            self._fill("texts embedded", 1)
            self._index()
            patiently(self._parts.store.count_anew, self._view)
            self._check(least_recall, questions)
            self._fill("texts that came meanwhile", _PASSES)
            self._switch()
        self._until_noticed()
        # What was stored until then by whoever went on with the model before.
        self._fill("texts that came meanwhile", _PASSES)
        if not keep_old:
            drop_retired(self._parts, self._view)

    def _fill(self, step: str, passes: int) -> None:
        """Embeds what has no vector; until a pass over all contents finds nothing, but not more often than `passes`."""
        self._view.begin(step, self._parts.store.missing_size(self._to)[0])
        refused = 0
        for _ in range(passes):
            met, not_made = self._pass()
            refused += not_made
            if not met:
                break
        self._view.end(f"all but {refused:,} that the model refuses" if refused else "all")

    def _pass(self) -> tuple[int, int]:
        """How many contents had no vector, and how many of them are refused."""
        after, met, refused, full = b"", 0, 0, True
        while full and (batch := self._parts.store.missing(self._to, after, AT_ONCE)):
            refused += self._embed(batch)
            met += len(batch)
            after = batch[-1][0]
            full = len(batch) == AT_ONCE
        return met, refused

    def _embed(self, batch: Sequence[tuple[bytes, str]]) -> int:
        """How many are refused, once all others have their vectors; waits as long as the API wants."""
        refused = 0
        while batch:
            self._held.check()
            self._until_asked()
            outcomes = self._embedder.embed([text for _, text in batch], _PATIENCE_SECONDS)
            answered = list(zip(batch, outcomes, strict=True))
            made = [
                (self._to, content_hash, None if isinstance(outcome, FacteurError) else outcome)
                for (content_hash, _), outcome in answered
                if not isinstance(outcome, Unavailable)
            ]
            patiently(partial(self._parts.store.keep, made), self._view)
            self._view.advance(len(made))
            refused += sum(isinstance(outcome, Rejected) for outcome in outcomes)
            batch = [one for one, outcome in answered if isinstance(outcome, Unavailable)]
            self._complain([outcome for outcome in outcomes if isinstance(outcome, Unavailable)])
            self._wrong = 0 if made else self._wrong
        return refused

    def _complain(self, failures: Sequence[Unavailable]) -> None:
        """Raises what time alone will not mend; whoever reads it can."""
        worst = max(failures, key=lambda failure: failure.retry_after, default=None)
        if worst is None:
            return
        self._wrong += isinstance(worst, WrongLength)
        if worst.retry_after >= SETTING_RETRY_SECONDS or self._wrong >= _WRONG_AT_MOST:
            raise worst
        self._view.note(str(worst))

    def _until_asked(self) -> None:
        while pause := self._embedder.pause():
            self._view.note(f"the embedding API wants to be left alone for {pause:.0f} s")
            self._sleep(min(pause, 1.0))

    def _index(self) -> None:
        """Made by a thread, which this process need not wait for when it is stopped: PostgreSQL goes on by itself."""
        self._view.begin("index of the vectors", 1000)
        building = _Building(self._parts.indexes(self._to))
        building.start()
        while building.is_alive():
            self._view.at(*self._parts.views.building())
            building.join(0.5)
        self._held.check()
        if building.error:
            raise building.error
        index = self._parts.views.index(self._to)
        self._view.end(f"{index.bytes / 1e6:,.0f} MB" if index else "not needed, so few are compared one by one")

    def _check(self, least: float, questions: int) -> None:
        """NotGoodEnough unless so much of the nearest is found; of texts that the model refuses nothing ever is."""
        (mine,) = [one for one in self._parts.views.models() if one.model == self._to]
        if mine.made < least * (mine.made + mine.refused):
            raise NotGoodEnough(
                f"{self._to} refuses {mine.refused:,} of {mine.made + mine.refused:,} texts: it is not in use"
            )
        asked = self._parts.store.sample(self._to, questions)
        self._view.begin("questions compared with an exact search", len(asked))
        recalls: list[float] = []
        for first in range(0, len(asked), _QUESTIONS_AT_ONCE):
            some = asked[first : first + _QUESTIONS_AT_ONCE]
            found = [self._found(one) for one in some]
            recalls += self._parts.store.recalls(self._to, some, found, _NEAREST)
            self._view.advance(len(some))
        recall = sum(recalls) / len(recalls) if recalls else 1.0
        said = f"recall {recall:.3f} of the nearest {_NEAREST}, {min(recalls, default=1.0):.1f} at worst"
        if recall < least:
            raise NotGoodEnough(f"{said}, but {least} is wanted: {self._to} is not in use")
        self._view.end(said if recalls else "nothing to compare")

    def _found(self, asked: Sampled) -> list[UUID]:
        filters = Filters(asked.tenant, asked.task_id, per_task=False)
        found = self._parts.search.search(Question(self._to, vector=asked.vector), filters, _ASKED)
        return [recalled.memory.id for recalled in found]

    def _switch(self) -> None:
        self._view.begin("switch", 1)
        self._held.check()
        patiently(lambda: self._parts.models.switch(self._to), self._view)
        self._view.end(f"{self._to} is in use")

    def _until_noticed(self) -> None:
        left = UNTIL_NOTICED_SECONDS - self._parts.store.switched_for()
        if left > 0:
            self._view.begin("until every process has noticed", 1)
            self._sleep(left)
            self._view.end(f"{left:.0f} s")


class _Building(threading.Thread):
    """Makes an index, after whoever is making one."""

    def __init__(self, indexes: PgMemoryIndexes) -> None:
        super().__init__(name="index", daemon=True)
        self._indexes = indexes
        self.error: FacteurError | None = None

    def run(self) -> None:
        try:
            while not self._indexes.finish():
                time.sleep(1.0)
        except FacteurError as error:
            self.error = error
