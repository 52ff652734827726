"""Lets what advances by ticks advance by itself."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def ticking(*ticks: Callable[[], None], seconds: float = 0.05) -> Iterator[None]:
    """Call all of them over and over in a thread; what one of them raises is raised at the end."""
    done, broken = threading.Event(), []

    def run() -> None:
        while not done.wait(seconds):
            try:
                for tick in ticks:
                    tick()
            except Exception as error:  # noqa: BLE001 - raised below, where somebody sees it
                broken.append(error)
                return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    if broken:
        raise broken[0]
