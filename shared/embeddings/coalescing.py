"""Texts of many callers, embedded together, each once, and only while the API wants to be asked."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from itertools import islice
from typing import Protocol

from shared import telemetry
from shared.domain.errors import FacteurError, InFlight, Rejected, Throttled, Unavailable
from shared.embeddings.batches import batches

log = logging.getLogger(__name__)

Vector = Sequence[float]
Outcome = Vector | FacteurError

# The inputs of one call: few enough that their vectors, as JSON, are no burden (256 of 3,072 are 16 MB).
AT_ONCE = 256
# The first of a call waits this long for others, less where nobody else comes.
GATHER_SECONDS = 0.02
_QUIET_SECONDS = 0.005
_ASK_AGAIN_SECONDS = 0.05
# An API that refuses so many in a row is more likely set up wrongly than the texts are bad.
MOST_REFUSED = 8
_SETTING_SECONDS = 300.0


class Embedder(Protocol):
    """The API behind."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Sequence[Vector]: ...


class Pace(Protocol):
    """Whether the API may be asked now; what every process hears of it."""

    def pause(self) -> float:
        """The seconds until the API may be asked, 0 if it may be now."""

    def enter(self) -> float:
        """The same for whoever asks with the answer 0; after a failure that is one caller at a time."""

    def succeeded(self) -> None: ...

    def failed(self, at_least: float) -> None:
        """Nobody asks for `at_least` seconds and some more."""


class Vectors(Protocol):
    """Vectors made lately by any process, and who is making which."""

    def get_many(self, model: str, texts: Sequence[str]) -> Mapping[str, Vector]: ...

    def claim(self, model: str, texts: Sequence[str]) -> Sequence[str]:
        """Those of the texts that nobody else is embedding; the others are left to who does."""

    def put_many(self, model: str, vectors: Mapping[str, Vector]) -> None:
        """Keeps vectors, and ends the claims on their texts."""

    def release(self, model: str, texts: Sequence[str]) -> None: ...


class Coalescing:
    """Embeds the texts of all threads of a process, one call after the other.

    Whoever comes while a call is under way is part of the next one. A text that several ask for at once
    is sent once. Its thread starts with the first text, so nobody waits longer than he wants to; what
    comes after he has left is still kept in `vectors`.
    """

    def __init__(self, embedder: Embedder, pace: Pace, vectors: Vectors, gather: float = GATHER_SECONDS) -> None:
        self.model = embedder.model
        self.dimension = embedder.dimension
        self._name = f"{embedder.model}:{embedder.dimension}"
        self._embedder = embedder
        self._pace = pace
        self._vectors = vectors
        self._gather = gather
        self._changed = threading.Condition()
        # In the order in which they came; those that are being embedded stay until they have an outcome.
        self._queue: dict[str, Future[Outcome]] = {}
        self._under_way: dict[str, Future[Outcome]] = {}
        self._crowded = False
        self._refused = 0
        self._thread: threading.Thread | None = None

    def pause(self) -> float:
        """The seconds for which the API does not want to be asked."""
        return self._pace.pause()

    def fitting(self, texts: Sequence[str]) -> int:
        """How many of the texts, from the first, are one call."""
        return len(next(batches(list(texts), AT_ONCE), []))

    def embed(self, texts: Sequence[str], patience: float) -> list[Outcome]:
        """The vector of each text, or why it has none: Rejected is for ever, anything else for now.

        Waits at most `patience` seconds.
        """
        until = time.monotonic() + patience
        with self._changed:  # all at once: what one caller brings is not divided among calls by chance
            asked = [self._ask(text) for text in texts]
        return [self._outcome(text, future, until) for text, future in zip(texts, asked, strict=True)]

    def _outcome(self, text: str, future: "Future[Outcome]", until: float) -> Outcome:
        while True:
            try:
                outcome = future.result(max(0.0, until - time.monotonic()))
            except NotYet:
                return Unavailable("the embedding API takes its time")
            # Another process is at it: its vector will be found, or it has given up.
            if not isinstance(outcome, InFlight) or time.monotonic() + _ASK_AGAIN_SECONDS > until:
                return outcome
            time.sleep(_ASK_AGAIN_SECONDS)
            future = self._ask(text)

    def _ask(self, text: str) -> "Future[Outcome]":
        with self._changed:
            future = self._under_way.get(text) or self._queue.get(text)
            if future is None:
                future = self._queue[text] = Future()
                self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="embedder", daemon=True)
                self._thread.start()
            return future

    def _run(self) -> None:
        while True:
            group = self._next()
            try:
                self._serve(group)
            except Exception:  # the thread must go on
                log.exception("texts are not embedded")
                self._resolve({text: Unavailable("texts could not be embedded") for text in group})

    def _next(self) -> list[str]:
        """The texts of the next call, once they have gathered."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue)
            until = time.monotonic() + self._gather
            # Where several came together the last time, others are on their way.
            quiet = self._gather if self._crowded else min(_QUIET_SECONDS, self._gather)
            while len(self._queue) < AT_ONCE and time.monotonic() < until:
                if not self._changed.wait(quiet):
                    break
            group = next(batches(list(islice(self._queue, AT_ONCE))))
            self._crowded = len(group) > 1
            self._under_way = {text: self._queue.pop(text) for text in group}
            return group

    def _serve(self, group: list[str]) -> None:
        known = self._vectors.get_many(self._name, group)
        self._resolve(known)
        wanted = [text for text in group if text not in known]
        mine = list(self._vectors.claim(self._name, wanted)) if wanted else []
        busy = InFlight("another process is embedding this text")
        self._resolve({text: busy for text in wanted if text not in set(mine)})
        if mine:
            self._call(mine)

    def _call(self, texts: list[str]) -> None:
        """One call; if a text among several is refused, one for each half, until it is found."""
        if not self._enter():
            pause = Unavailable("the embedding API is not asked for a while", max(1, int(self._pace.pause())))
            self._give_up(texts, pause)
            return
        try:
            vectors = self._timed(texts)
        except Rejected as error:
            self._pace.succeeded()
            if len(texts) == 1:
                self._refuse(texts, error)
                return
            middle = len(texts) // 2
            self._call(texts[:middle])
            self._call(texts[middle:])
        except Unavailable as error:
            self._pace.failed(error.retry_after)
            why = "throttled" if isinstance(error, Throttled) else "unavailable"
            telemetry.count("graf_codex_embedding_failures_total", why=why)
            log.warning("not embedded", extra={"facts": {"texts": len(texts), "why": str(error)}})
            self._give_up(texts, error)
        else:
            self._pace.succeeded()
            self._refused = 0
            made = dict(zip(texts, vectors, strict=True))
            self._vectors.put_many(self._name, made)
            self._resolve(made)

    def _enter(self) -> bool:
        """Whether the API may be asked. What becomes of another process's try is waited for."""
        while self._pace.enter():
            if self._pace.pause():
                return False
            time.sleep(_ASK_AGAIN_SECONDS)
        return True

    def _refuse(self, texts: list[str], error: Rejected) -> None:
        telemetry.count("graf_codex_embedding_failures_total", why="refused")
        self._refused += 1
        if self._refused >= MOST_REFUSED:
            log.error("the embedding API refuses one text after the other: check OPENAI_BASE_URL and the model")
            self._pace.failed(_SETTING_SECONDS)
        self._give_up(texts, error)

    def _timed(self, texts: list[str]) -> Sequence[Vector]:
        began = time.monotonic()
        try:
            return self._embedder.embed(texts)
        finally:
            telemetry.measure("graf_codex_embedding_duration_ms", (time.monotonic() - began) * 1000)

    def _give_up(self, texts: Sequence[str], error: FacteurError) -> None:
        self._vectors.release(self._name, texts)
        self._resolve(dict.fromkeys(texts, error))

    def _resolve(self, outcomes: Mapping[str, Outcome]) -> None:
        with self._changed:
            futures = [(self._under_way.pop(text, None), outcome) for text, outcome in outcomes.items()]
        for future, outcome in futures:
            if future:
                future.set_result(outcome)
