"""The second use case: what has been kept for long enough is forgotten, and what nobody needs any more is dropped."""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

log = logging.getLogger(__name__)

# Pieces, and prompt files, of a batch: storing memories waits for one. And the most batches at a time.
AT_ONCE = 250
PROMPTS_AT_ONCE = 100
BATCHES = 40
# Vectors that are looked at each time.
LOOKED_AT = 5000


class Memories(Protocol):
    """The memory index, and what was made of it."""

    def forget_old(self, days: Mapping[str, int], limit: int) -> int: ...

    def drop_unneeded(self, start: bytes, limit: int) -> int: ...

    def purge(self, limit: int) -> int: ...


class Retain:
    """Keeps each kind of memory for its days; what has none is kept for ever."""

    def __init__(self, memories: Memories, days: Mapping[str, int], anywhere: Callable[[], bytes]) -> None:
        """`anywhere` is a random hash: processes come and go, and each begins somewhere else to look at vectors."""
        self._memories = memories
        self._days = days
        self._anywhere = anywhere

    def __call__(self) -> None:
        """As much of it as may be done at a time."""
        old = _batches(lambda: self._memories.forget_old(self._days, AT_ONCE), AT_ONCE) if self._days else 0
        vectors = self._memories.drop_unneeded(self._anywhere(), LOOKED_AT)
        prompts = _batches(lambda: self._memories.purge(PROMPTS_AT_ONCE), PROMPTS_AT_ONCE)
        if old or vectors or prompts:
            facts = {"memories": old, "unneeded_vectors": vectors, "prompts": prompts}
            log.info("memories forgotten", extra={"facts": facts})


def _batches(work: Callable[[], int], whole: int) -> int:
    """How much the batches did together; the first that is not whole is the last."""
    done = 0
    for _ in range(BATCHES):
        batch = work()
        done += batch
        if batch < whole:
            break
    return done
