"""Whatever is sent to codex-intake, it answers in 4xx or accepts it, keeps what it accepts, and goes on."""

import gzip
import json
import string
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest
import urllib3
from google.protobuf import descriptor_pb2
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.domain.ids import run_id
from shared.web.requests import MAX_BODY
from tests.component.conftest import COLLEAGUE_TOKEN, STRANGER_TOKEN, Stage, api_tokens
from tests.component.functions import Function, Sink, authorised, running, settings
from tests.component.test_codex_intake import example, fresh_example
from tests.patience import PATIENCE

KEPT_OPEN = urllib3.PoolManager(retries=False, timeout=PATIENCE)
GZIP = authorised(**{"Content-Encoding": "gzip"})


@pytest.fixture(scope="module")
def intake(stage: Stage, module_sink: Sink, folder: Path) -> Iterator[Function]:
    env = settings(stage.dsn, module_sink.url, folder) | {"FACTEUR_API_TOKENS": api_tokens()}
    with running("codex-intake", env, folder / "log") as function:
        yield function
        log = function.log.read_text()
        assert "Traceback" not in log, "nothing that was sent here was unexpected"


def post(intake: Function, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Any:
    return KEPT_OPEN.request("POST", intake.url + path, body=body, headers=headers or authorised())


def deliver(intake: Function, body: bytes, headers: Mapping[str, str] | None = None) -> Any:
    return post(intake, "/codex/tasks", body, headers)


def submit(intake: Function, body: Any, headers: Mapping[str, str] | None = None) -> Any:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return post(intake, "/v1/codex/tasks", encoded, headers)


# --- protobufs


def test_every_prefix_of_a_delivery_is_accepted_or_refused(intake: Function) -> None:
    whole = fresh_example()
    statuses = {deliver(intake, whole[:end]).status for end in range(len(whole) + 1)}
    assert statuses <= {202, 400, 422}
    assert {202, 400} <= statuses


@hypothesis_settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 770), st.integers(1, 255)), min_size=1, max_size=8))
def test_a_delivery_with_flipped_bytes_is_accepted_or_refused(intake: Function, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(example())
    for at, flip in flips:
        damaged[at] ^= flip
    assert deliver(intake, bytes(damaged)).status in (202, 400, 422)


@hypothesis_settings(max_examples=100)
@given(st.binary(max_size=300))
def test_random_bytes_are_accepted_or_refused(intake: Function, noise: bytes) -> None:
    assert deliver(intake, noise).status in (400, 422)
    assert deliver(intake, example(delivery_id="noise") + noise).status in (202, 400, 422)


@pytest.mark.parametrize(
    "body",
    [
        b"\x0b" * 100_000,  # groups in groups
        b"\x0b" * 50 + b"\x0c" * 50,
        b"\x0c",
        b"\x12\xff\xff\xff\xff\x0fabc",  # a text of 4 GiB, they say
        b"\x12" + b"\xff" * 10,
        b"\x08" + b"\x80" * 20,  # a number without end
        b"\x82\x01\xff\xff\x03" + b"\x12" * 1000,
        b"\x0d\x00\x00\x00\x00",  # stage as a fixed32
        b"\x10\x02",  # prompt as a number
        b"\x07\x00",  # field 0
        b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
        b"\x12\x02\xed\xa0\x80",
        b"\x12\x03\xed\xa0\x80",  # a surrogate in UTF-8
        b"\x12\x02\xc0\x80",  # U+0000, overlong
        b"\x12\x04\xf4\x90\x80\x80",  # beyond Unicode
    ],
    ids=repr,
)
def test_a_message_that_is_no_message_is_refused(intake: Function, body: bytes) -> None:
    assert deliver(intake, body).status == 400
    assert deliver(intake, body + example()).status in (202, 400)


def test_another_message_that_can_be_read_as_a_task_is_refused(intake: Function) -> None:
    for other in (
        descriptor_pb2.FileDescriptorProto(name="a.proto", package="p", syntax="proto3"),
        descriptor_pb2.DescriptorProto(name="M"),
        descriptor_pb2.UninterpretedOption(identifier_value="x", positive_int_value=2),
    ):
        assert deliver(intake, other.SerializeToString()).status == 400


def test_what_this_version_does_not_know_is_kept_as_it_came(intake: Function, stage: Stage) -> None:
    unknown = b"\xfa\x3e\x05later" + b"\xf8\x3e\x07"
    body = fresh_example() + unknown
    answer = deliver(intake, body)
    assert answer.status == 202
    (row,) = stage.rows(
        "SELECT delivery FROM codex_kb.codex_tasks WHERE id = %(task)s", UUID(answer.json()["taskRunId"])
    )
    assert row["delivery"] == body


@pytest.mark.parametrize("field", ["prompt", "delivery_id", "repository", "base", "head", "issue_body", "sender"])
def test_a_null_character_anywhere_in_a_delivery_is_refused_for_ever(intake: Function, field: str) -> None:
    body = example(**{"delivery_id": f"nul-{uuid4()}", field: f"nul \x00 {uuid4()}"})
    answer = deliver(intake, body)
    assert (answer.status, answer.json()["type"]) == (422, "urn:facteur:problem:rejected")


@pytest.mark.parametrize("field", ["delivery_id", "repository"])
def test_a_name_that_no_index_can_hold_is_refused_for_ever(intake: Function, field: str) -> None:
    for name in ("x" * 900_000, "".join(str(uuid4()) for _ in range(60))):
        assert deliver(intake, example(**{"delivery_id": f"long-{uuid4()}", field: name})).status == 422
    assert deliver(intake, example(**{"delivery_id": f"long-{uuid4()}", field: str(uuid4()) * 40})).status == 202


def test_text_of_every_kind_is_kept(intake: Function, stage: Stage) -> None:
    text = "".join(map(chr, [*range(1, 0x20), 0x7F, 0x85, 0x2028, 0xFEFF, 0xFFFF, 0x1F600, 0x10FFFF])) + "\\u0000 \\x00"
    answer = deliver(intake, example(delivery_id=f"text-{uuid4()}", prompt=text))
    assert answer.status == 202
    (row,) = stage.rows("SELECT prompt FROM codex_kb.codex_tasks WHERE id = %(task)s", UUID(answer.json()["taskRunId"]))
    assert row["prompt"] == text


# --- ids of other doors


def test_no_delivery_can_take_or_block_the_key_of_another_caller(intake: Function, stage: Stage) -> None:
    key = f"key-{uuid4()}"
    stranger = authorised(STRANGER_TOKEN)
    for name in (f"http:colleague:{key}", f"  http:colleague:{key}  ", f"cloudevent:%2Fx:{key}"):
        answer = deliver(intake, example(delivery_id=name), stranger)
        assert (answer.status, answer.json()["type"]) == (422, "urn:facteur:problem:rejected")
    event = {"ce-specversion": "1.0", "ce-type": "x.y", "ce-source": "http:colleague", "ce-id": key}
    for source in ("http:colleague", "/x", "colleague"):
        headers = stranger | event | {"ce-source": source, "Content-Type": "application/json"}
        assert deliver(intake, b'{"prompt": "mine"}', headers).status == 202
    mine = submit(intake, {"prompt": "theirs"}, authorised(COLLEAGUE_TOKEN, **{"Idempotency-Key": key}))
    assert mine.status == 202
    (row,) = stage.rows(
        "SELECT caller, prompt FROM codex_kb.codex_tasks WHERE id = %(task)s", UUID(mine.json()["taskId"])
    )
    assert row == {"caller": "colleague", "prompt": "theirs"}


def test_a_key_that_imitates_a_delivery_is_a_key_of_its_own(intake: Function) -> None:
    name = f"delivery-{uuid4()}"
    submitted = submit(intake, {"prompt": "x"}, authorised(**{"Idempotency-Key": name}))
    delivered = deliver(intake, example(delivery_id=name))
    assert (submitted.status, delivered.status, delivered.json()["duplicate"]) == (202, 202, False)
    assert delivered.json()["taskRunId"] == str(run_id(name)) != submitted.json()["taskId"]


# --- JSON


def nested(levels: int) -> bytes:
    """A body that is so deep as a whole: the object and its metadata are two levels."""
    return b'{"prompt": "deep", "metadata": {"x": %s%s}}' % (b"[" * (levels - 2), b"]" * (levels - 2))


def test_json_may_be_64_levels_deep_and_no_deeper(intake: Function) -> None:
    assert submit(intake, nested(64)).status == 202
    for levels in (65, 66, 1000, 100_000):
        assert submit(intake, nested(levels)).status == 400


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "nul \x00 raw"}',
        rb'{"prompt": "nul \u0000 escaped"}',
        rb'{"prompt": "x", "metadata": {"nul \u0000 key": 1}}',
        rb'{"prompt": "x", "metadata": {"a": ["\u0000"]}}',
        rb'{"prompt": "x", "tags": ["\u0000"]}',
        rb'{"prompt": "\\\u0000"}',
        rb'{"prompt": "lone \ud800"}',
        rb'{"prompt": "lone \udfff"}',
        rb'{"prompt": "x", "metadata": {"\ud800": 1}}',
        rb'{"prompt": "x", "metadata": {"a": "\udc00\ud800"}}',
        b'{"prompt": "raw \xed\xa0\x80"}',
        b'{"prompt": "\xff"}',
        b'{"prompt": "\xc0\x80"}',
        b'{"prompt": "x", "metadata": {"\xff": 1}}',
        b'{"prompt": "x", "metadata": {"n": NaN}}',
        b'{"prompt": "x", "metadata": {"n": Infinity}}',
        b'{"prompt": "x", "metadata": {"n": -Infinity}}',
        b'{"prompt": "x", "priority": NaN}',
        b"\xef\xbb\xbf" + b'{"prompt": "x"}',
        '{"prompt": "x"}'.encode("utf-16"),
        b'{"prompt": "x"} {"prompt": "y"}',
        b'{"prompt": "x",}',
        b"[]",
        b"null",
        b'"prompt"',
        b"",
        b'{"prompt": "x"',
        b"{'prompt': 'x'}",
        b'{"prompt": "x"} // comment',
    ],
    ids=repr,
)
def test_json_that_is_not_a_storable_task_is_refused(intake: Function, body: bytes) -> None:
    assert submit(intake, body).status == 400


@pytest.mark.parametrize(
    "metadata",
    [
        '{"n": 1e400}',
        '{"n": -1e400}',
        '{"n": 1e-400}',
        f'{{"n": {"9" * 5000}}}',
        f'{{"n": 0.{"9" * 5000}}}',
        '{"n": 18446744073709551616}',
        '{"n": -0}',
        '{"a": 1, "a": 2}',
        '{"": {"": {"": ""}}}',
        f'{{"{"k" * 100_000}": 1}}',
    ],
    ids=lambda text: text[:30],
)
def test_metadata_of_any_kind_is_kept_or_refused(intake: Function, metadata: str) -> None:
    assert submit(intake, b'{"prompt": "x", "metadata": %s}' % metadata.encode()).status in (202, 400, 422)


def test_of_a_key_that_is_there_twice_every_replay_sees_the_same(intake: Function, stage: Stage) -> None:
    key = authorised(**{"Idempotency-Key": f"twice-{uuid4()}"})
    first = submit(intake, b'{"prompt": "one", "prompt": "two"}', key)
    assert first.status == 202
    (row,) = stage.rows("SELECT prompt FROM codex_kb.codex_tasks WHERE id = %(task)s", UUID(first.json()["taskId"]))
    assert submit(intake, {"prompt": row["prompt"]}, key).data == first.data


# --- size


@pytest.mark.parametrize("letter", ["x", "é", "\x01", '"'])
def test_a_prompt_of_nearly_a_mebibyte_is_kept_whole(intake: Function, stage: Stage, letter: str) -> None:
    room = MAX_BODY - 2000
    in_json = json.dumps(letter, ensure_ascii=False).encode()[1:-1]
    prompts = [letter * min(room // len(in_json), 1_000_000), letter * min(room // len(letter.encode()), 1_000_000)]
    answers = [
        submit(intake, json.dumps({"prompt": prompts[0]}, ensure_ascii=False).encode()),
        deliver(intake, example(delivery_id=f"large-{uuid4()}", prompt=prompts[1])),
    ]
    assert [answer.status for answer in answers] == [202, 202]
    tasks = UUID(answers[0].json()["taskId"]), UUID(answers[1].json()["taskRunId"])
    for task, prompt in zip(tasks, prompts, strict=True):
        (row,) = stage.rows("SELECT prompt FROM codex_kb.codex_tasks WHERE id = %(task)s", task)
        assert row["prompt"] == prompt


def test_a_body_of_more_than_a_mebibyte_is_too_large(intake: Function) -> None:
    for path, body in (
        ("/v1/codex/tasks", json.dumps({"prompt": "x" * MAX_BODY}).encode()),
        ("/codex/tasks", example(delivery_id=f"huge-{uuid4()}", prompt="x" * MAX_BODY)),
    ):
        assert intake.post(path, body, authorised()).status == 413
        assert intake.post(path, gzip.compress(body), GZIP).status == 413


# --- gzip


def test_a_compressed_task_is_the_same_task(intake: Function, stage: Stage) -> None:
    body = fresh_example()
    first = deliver(intake, gzip.compress(body), GZIP)
    assert (first.status, first.json()["duplicate"]) == (202, False)
    assert deliver(intake, body).json() == first.json() | {"duplicate": True}
    key = {"Idempotency-Key": str(uuid4())}
    packed = submit(intake, gzip.compress(b'{"prompt": "packed"}'), GZIP | key)
    assert (packed.status, submit(intake, b'{"prompt": "packed"}', authorised() | key).data) == (202, packed.data)


def test_bombs_are_too_large_and_leave_no_trace_in_memory(intake: Function) -> None:
    bomb = gzip.compress(bytes(500 * MAX_BODY))
    assert len(bomb) < MAX_BODY

    def memory() -> int:
        process = psutil.Process(intake.process.pid)
        return sum(part.memory_info().rss for part in (process, *process.children(recursive=True)))

    before = memory()
    for _ in range(20):
        assert intake.post("/codex/tasks", bomb, GZIP).status == 413
    assert memory() - before < 32 * MAX_BODY


# The same in every process that collects these tests.
PACKED = gzip.compress(example(), mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (PACKED[:-1], "gzip", 400),
        (PACKED[:20], "gzip", 400),
        (PACKED + b"x", "gzip", 400),
        (example(), "gzip", 400),
        (b"", "gzip", 400),
        (gzip.compress(PACKED, mtime=0), "gzip", 400),
        (gzip.compress(PACKED, mtime=0), "gzip, gzip", 415),
        (example(), "br", 415),
        (example(), "deflate", 415),
        (example(), "\x7f", 400),
        (example(), "gzip" * 1000, 415),
    ],
)
def test_a_body_that_is_compressed_wrongly_is_refused(
    intake: Function, body: bytes, encoding: str, status: int
) -> None:
    assert deliver(intake, body, authorised(**{"Content-Encoding": encoding})).status == status
    assert deliver(intake, fresh_example()).status == 202


# --- headers


@pytest.mark.parametrize("key", ["x" * 255, string.punctuation, "a b", "%00", "{}"])
def test_a_key_of_any_printable_characters_is_a_key(intake: Function, key: str) -> None:
    unlike = f"{key[:-36]}{uuid4()}" if len(key) > 200 else f"{key}{uuid4()}"
    headers = authorised(**{"Idempotency-Key": unlike})
    first, again = submit(intake, {"prompt": "x"}, headers), submit(intake, {"prompt": "x"}, headers)
    assert (first.status, again.status, again.data) == (202, 200, first.data)


@pytest.mark.parametrize("key", ["x" * 256, "a\tb", "é".encode().decode("latin-1"), "\x7f"])
def test_a_key_that_is_too_long_or_not_printable_is_refused(intake: Function, key: str) -> None:
    assert submit(intake, {"prompt": "x"}, authorised(**{"Idempotency-Key": key})).status == 400


def test_a_key_in_the_body_that_cannot_be_stored_is_refused(intake: Function) -> None:
    assert submit(intake, {"prompt": "x", "idempotencyKey": "\0"}).status == 400
    assert submit(intake, rb'{"prompt": "x", "idempotencyKey": "\ud800"}').status == 400


@pytest.mark.parametrize("coalesce", ["-1", "86401", "1.5", "x", "", "9" * 5000, "1%00", "٣", "1&coalesce=2"])
def test_a_window_that_is_no_number_within_bounds_is_refused(intake: Function, coalesce: str) -> None:
    assert post(intake, f"/codex/tasks?coalesce={coalesce}", fresh_example()).status == 400


@pytest.mark.parametrize("host", ["", "x" * 5000, "a b", "[", "[::1", "%00", "é".encode().decode("latin-1"), "a:b:c"])
def test_a_host_of_any_kind_changes_nothing(intake: Function, host: str) -> None:
    event = {"ce-specversion": "1.0", "ce-type": "x", "ce-source": "/x", "ce-id": "1", "Content-Type": "text/plain"}
    for headers in (authorised(Host=host), authorised(Host=host) | event):
        assert deliver(intake, b"no task", headers).status == 400


@pytest.mark.parametrize(
    "headers",
    [
        {"ce-id": ""},
        {"ce-id": "%00"},
        {"ce-id": "%ED%A0%80"},
        {"ce-id": "%"},
        {"ce-source": "a b"},
        {"ce-source": "/" + "x" * 3000},
        {"ce-source": "/" + "%C3%A9" * 500},
        {"ce-specversion": "2.0"},
        {"ce-type": ""},
        {"ce-id": "x" * 3000},
        {"Content-Type": "application/cloudevents+json"},
        {"Content-Type": "application/cloudevents-batch+json"},
        {"Content-Type": "application/cloudevents+avro"},
        {"Content-Type": "no media type"},
        {"ce-dataschema": "relative"},
        {"ce-time": "yesterday"},
        {"ce-a_b": "x"},
    ],
    ids=str,
)
def test_an_event_that_breaks_a_rule_is_refused(intake: Function, headers: dict[str, str]) -> None:
    event = {
        "ce-specversion": "1.0",
        "ce-type": "x",
        "ce-source": "/x",
        "ce-id": "1",
        "Content-Type": "application/json",
    }
    assert deliver(intake, b'{"prompt": "x"}', authorised(**event | headers)).status in (400, 422)
