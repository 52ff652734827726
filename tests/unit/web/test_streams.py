"""Streams of server-sent events: their shape, their places, and their ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from itertools import count

import pytest
from flask import Response

from shared.domain.errors import NotFound, Unavailable
from shared.web.streams import MOST, Batch, Message, Streams


def message(number: int, data: str = "{}") -> Message:
    return Message(str(number), "progress", data)


def body(response: Response) -> bytes:
    pieces: Iterable[bytes] = response.iter_encoded()
    return b"".join(pieces)


def test_messages_follow_each_other_until_it_is_over() -> None:
    asked: list[str | None] = []

    def poll(after: str | None) -> Batch:
        asked.append(after)
        number = len(asked)
        return Batch([message(number, f'{{"n": {number}}}')], full=number < 3, over=number == 3)

    response = Streams().answer(poll, "0")
    assert body(response) == (
        b"retry: 2000\n\n"
        b'id: 1\nevent: progress\ndata: {"n": 1}\n\n'
        b'id: 2\nevent: progress\ndata: {"n": 2}\n\n'
        b'id: 3\nevent: progress\ndata: {"n": 3}\n\n'
    )
    assert asked == ["0", "1", "2"]
    assert response.content_type == "text/event-stream"


def test_a_name_with_line_ends_stays_one_field() -> None:
    odd = Batch([Message("1", "two\nlines\r\ndata: forged", "{}")], over=True)
    assert b"event: two lines data: forged\ndata: {}\n\n" in body(Streams().answer(lambda _: odd, None))


def test_what_is_over_and_empty_is_no_content() -> None:
    response = Streams().answer(lambda _: Batch((), over=True), "1")
    assert (response.status_code, response.get_data()) == (204, b"")


def test_places_are_taken_until_the_answer_is_closed_and_given_back_after_an_error() -> None:
    streams = Streams()
    quiet = Batch([message(1)])

    def unknown(_: str | None) -> Batch:
        raise NotFound("there is no such task")

    for _ in range(2 * MOST):
        with pytest.raises(NotFound):
            streams.answer(unknown, None)
    open_ones = [streams.answer(lambda _: quiet, None) for _ in range(MOST)]
    with pytest.raises(Unavailable) as refused:
        streams.answer(lambda _: quiet, None)
    assert refused.value.retry_after > 0
    open_ones[0].close()  # one that was never read
    streams.answer(lambda _: Batch((), over=True), None).close()
    streams.answer(lambda _: quiet, None)
    with pytest.raises(Unavailable):
        streams.answer(lambda _: quiet, None)


def test_a_stream_goes_on_when_what_it_needs_is_back() -> None:
    turns = count()

    def poll(after: str | None) -> Batch:
        turn = next(turns)
        if turn == 1:
            raise Unavailable("away")
        return Batch([message(turn)], full=turn == 0, over=turn == 2)

    assert body(Streams().answer(poll, None)).count(b"id: ") == 2


WAITING = """
import signal, threading
from shared.web import stopping

stopping.watch()
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: told.set())
assert not stopping.wait(0.1)
heard = []
waits = [threading.Thread(target=lambda: heard.append(stopping.wait(3600))) for _ in range(8)]
for thread in waits:
    thread.start()
print("ready", flush=True)
told.wait()
for thread in waits:
    thread.join()
assert heard == [True] * 8  # an hour before they would have looked by themselves
assert stopping.wait(3600)
"""


def test_everybody_who_waits_hears_of_a_stop_at_once() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(60) == 0
