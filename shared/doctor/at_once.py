"""Several looks at once, in threads that nobody has to wait for."""

import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)
Seen = TypeVar("Seen")


def begin(looks: Mapping[Key, Callable[[], Seen]]) -> dict[Key, Future[Seen]]:
    """Begins each in a thread of its own. One that hangs keeps no process from its end, as an executor's would."""
    begun: dict[Key, Future[Seen]] = {}
    for key, each in looks.items():
        begun[key] = Future()
        threading.Thread(target=_run, args=(begun[key], each), daemon=True).start()
    return begun


def _run(future: Future[Seen], look: Callable[[], Seen]) -> None:
    try:
        future.set_result(look())
    except Exception as error:  # noqa: BLE001  # whoever asks for the result is told
        future.set_exception(error)
