"""Bytes become lines, and lines few events; nothing grows with what an agent writes."""

import itertools
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runner.errors import Fenced, Refused, RunnerError, Unacceptable
from shared.runner.wrapping.output import Lines, pump
from shared.runner.wrapping.transcript import MAX_EVENT, Transcript


@given(st.lists(st.binary(max_size=20).map(lambda piece: piece.replace(b"z", b"\n")), max_size=20))
def test_lines_are_the_same_however_they_arrive(pieces: list[bytes]) -> None:
    lines = Lines()
    read = [line for piece in pieces for line in lines.feed(piece)] + lines.rest()
    whole = b"".join(pieces).split(b"\n")
    assert read == (whole if whole[-1] else whole[:-1])


def test_of_a_line_that_is_too_long_the_start_is_kept() -> None:
    lines = Lines(limit=4)
    assert lines.feed(b"abc") == []
    assert lines.feed(b"defgh\nxyz\n12345") == [b"abcd... (cut; 8 bytes in all)", b"xyz"]
    assert lines.rest() == [b"1234... (cut; 5 bytes in all)"]
    assert lines.rest() == []


def test_a_pipe_is_read_to_its_end_though_nobody_takes_what_is_passed_on() -> None:
    source, into = os.pipe()
    closed, target = os.pipe()
    os.close(closed)
    taken: list[str] = []
    try:
        os.write(into, b"one\ntwo \xff\nthr")
        os.close(into)
        pump(source, target, lambda content: content.replace(b"one", b"1"), taken.extend)
    finally:
        os.close(source)
        os.close(target)
    assert taken == ["1", "two \ufffd", "thr"]


class Told:
    """Takes reports; those whose kind is in `fails` fail."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, Any]] = []
        self.fails: dict[str, RunnerError] = {}

    def __call__(self, kind: str, content: Any) -> None:
        if kind in self.fails:
            raise self.fails[kind]
        self.reports.append((kind, content))


def test_lines_are_joined_and_stay_in_order() -> None:
    told = Told()
    transcript = Transcript(told)
    for number in range(3):
        transcript.lines("stdout", [f"{number}"])
    transcript.lines("stderr", ["aside"])
    assert told.reports == []
    transcript.event("progress", {"kind": "message"}, 10)
    assert told.reports == [
        ("log", {"stream": "stdout", "text": "0\n1\n2\n"}),
        ("log", {"stream": "stderr", "text": "aside\n"}),
        ("progress", {"kind": "message"}),
    ]


@given(st.lists(st.integers(0, 3 * MAX_EVENT), max_size=30))
def test_joined_events_are_full_but_never_too_large_and_hold_everything(sizes: list[int]) -> None:
    told = Told()
    transcript = Transcript(told)
    lines = [chr(97 + number % 26) * size for number, size in enumerate(sizes)]
    transcript.lines("stdout", lines)
    transcript.close()
    texts = [content["text"] for _, content in told.reports]
    assert "".join(texts) == "".join(line + "\n" for line in lines)
    assert all(len(text) <= MAX_EVENT for text in texts)
    assert all(len(first) + len(second) > MAX_EVENT for first, second in itertools.pairwise(texts))


def test_what_is_too_much_in_all_is_dropped_and_counted() -> None:
    told = Told()
    transcript = Transcript(told, most=MAX_EVENT)
    transcript.lines("stdout", ["x" * 9999] * 3)
    transcript.close()
    transcript.lines("stdout", ["late"])
    transcript.close()
    assert [content["text"][0] for _, content in told.reports[:-1]] == ["x"]
    assert told.reports[-1] == ("log", "20000 characters of the agent's output were dropped: it says too much")


def test_usage_is_told_however_much_was_said() -> None:
    told = Told()
    transcript = Transcript(told, most=0)
    transcript.event("progress", {}, 5)
    transcript.event("usage", {"n": 1}, 0)
    assert told.reports == [("usage", {"n": 1})]


def test_a_report_that_fails_stops_nothing() -> None:
    told = Told()
    told.fails["progress"] = Unacceptable("too large")
    transcript = Transcript(told)
    transcript.event("progress", {}, 5)
    transcript.event("log", {}, 5)
    assert told.reports == [("log", {})]


@pytest.mark.parametrize("error", [Fenced("over"), Refused("over")])
def test_once_the_attempt_is_over_nothing_is_told(error: RunnerError) -> None:
    told = Told()
    told.fails["progress"] = error
    transcript = Transcript(told)
    transcript.event("progress", {}, 5)
    transcript.event("log", {}, 5)
    assert told.reports == []


def test_the_last_lines_are_remembered() -> None:
    transcript = Transcript(Told())
    transcript.lines("stdout", ["x" * 5000, "one"])
    transcript.lines("stdout", ["two", ""])
    assert transcript.tail("stdout").endswith("x\none\ntwo")
    assert len(transcript.tail("stdout")) <= 4000
    assert transcript.tail("stderr") == ""
