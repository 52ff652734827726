"""codex-intake's use case and its producers."""

import pytest

from functions.codex_intake.accept import Accept
from functions.codex_intake.deliveries import from_protobuf
from functions.codex_intake.orchestrate import Switches
from functions.codex_intake.producers import from_event, from_json
from shared.domain.errors import Conflict, Malformed, Rejected
from shared.domain.token import Caller
from shared.events.catalogue import TASK_REQUESTED
from shared.events.event import Event
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask, CodexTaskStage
from tests.contract.stores.conftest import Stores
from tests.integration.postgres.conftest import request
from tests.unit.functions.conftest import Said

ALICE = Caller("alice", "default", frozenset({"tasks:write"}), b"")
BOB = Caller("bob:x", "other", frozenset({"tasks:write"}), b"")


def test_a_task_is_announced_when_it_is_new_and_only_then(stores: Stores, said: Said) -> None:
    accept = Accept(stores.tasks, said)
    first, again = accept(request(), "00-trace"), accept(request(), "00-other")
    assert (first.duplicate, again.duplicate) == (False, True)
    assert said.types == ["task.accepted.v1"]
    assert said[0].extensions == {"traceparent": "00-trace"}


def test_another_body_is_a_conflict_only_for_those_who_want_to_know(stores: Stores, said: Said) -> None:
    accept = Accept(stores.tasks, said)
    accept(request(), None, strict=True)
    accept(request(), None, strict=True)
    other = request(body_hash=b"\x02" * 32)
    assert accept(other, None).duplicate
    with pytest.raises(Conflict):
        accept(other, None, strict=True)


def test_nobody_can_take_the_key_of_another_caller(stores: Stores) -> None:
    body = b'{"prompt": "x"}'
    deliveries = {
        from_json(body, ALICE, "key", "fresh", Switches()).delivery_id,
        from_json(body, BOB, "key", "fresh", Switches()).delivery_id,
        from_json(body, Caller("bob", "other", frozenset(), b""), "x:key", "fresh", Switches()).delivery_id,
        from_json(body, ALICE, None, "fresh", Switches()).delivery_id,
        from_json(b'{"prompt": "x", "idempotencyKey": "  "}', ALICE, None, "fresher", Switches()).delivery_id,
    }
    assert len(deliveries) == 5


def test_the_order_and_spacing_of_a_body_do_not_matter_to_its_hash() -> None:
    one = from_json(b'{"prompt": "x", "tags": ["a"], "priority": 1}', ALICE, "k", "", Switches())
    other = from_json(b'{"priority":1,"tags":["a"],"prompt":"x"}', ALICE, "k", "", Switches())
    assert one.body_hash == other.body_hash
    assert (
        one.body_hash
        != from_json(b'{"prompt": "x", "tags": ["b"], "priority": 1}', ALICE, "k", "", Switches()).body_hash
    )
    assert (one.caller, one.tenant, one.tags, one.priority) == ("alice", "default", ("a",), 1)


def event(source: str, data: bytes = b'{"prompt": "x", "metadata": {"caller": "discord:42"}}') -> Event:
    return Event("id-1", source, TASK_REQUESTED, data=data)


def test_a_task_asked_for_by_an_event_is_delivered_by_source_and_id() -> None:
    one = from_event(event("/facteur/discord-interaction"), None, Switches())
    assert (one.source_type, one.caller, one.tenant) == ("discord", "discord:42", "default")
    other = from_event(event("/nightly", b'{"prompt": "x"}'), None, Switches())
    assert (other.source_type, other.caller) == ("cloudevent", "/nightly")
    assert one.delivery_id != other.delivery_id


def delivery(**fields: object) -> bytes:
    wanted = {"stage": CodexTaskStage.CODEX_TASK_STAGE_IMPLEMENTATION, "prompt": "x", "delivery_id": " d-1 "} | fields
    return CodexTask(**wanted).SerializeToString()  # type: ignore[arg-type]


def test_a_protobuf_delivery_keeps_its_id_and_defaults_to_main() -> None:
    wanted = from_protobuf(delivery(repository="o/r", issue_number=7), ALICE, Switches())
    assert (wanted.delivery_id, wanted.source_ref, wanted.base, wanted.issue_number) == ("d-1", "o/r#7", "main", 7)


def test_the_errors_of_a_protobuf_delivery_keep_their_words() -> None:
    for body, error, words in (
        (b"", Malformed, "empty payload"),
        (b"\xff", Malformed, "invalid payload"),
        (delivery(stage=3), Malformed, "unsupported codex stage"),
        (delivery(delivery_id=" "), Rejected, "missing delivery_id"),
        (delivery(delivery_id="http:alice:key"), Rejected, "delivery_id must not begin with http: or cloudevent: .*"),
        (delivery(delivery_id=" cloudevent:/x:1"), Rejected, "delivery_id must not begin .*"),
    ):
        with pytest.raises(error, match=f"^{words}$"):
            from_protobuf(body, ALICE, Switches())


def test_no_event_that_a_caller_sends_is_the_delivery_of_anybody_else() -> None:
    brought = from_event(event("/nightly"), None, Switches())
    sent = [from_event(event("/nightly"), caller, Switches()) for caller in (ALICE, BOB)]
    assert len({brought.delivery_id, *(task.delivery_id for task in sent)}) == 3
    assert [task.caller for task in sent] == ["alice", "bob:x"]


def test_only_tasks_of_an_issue_are_coalesced() -> None:
    assert from_protobuf(delivery(repository="o/r", issue_number=7), ALICE, Switches(), 60).coalesce_seconds == 60
    for fields in ({}, {"repository": "o/r"}, {"issue_number": 7}):
        with pytest.raises(Rejected, match="coalesce needs repository and issueNumber"):
            from_protobuf(delivery(**fields), ALICE, Switches(), 60)


def test_a_key_that_no_index_could_hold_is_refused() -> None:
    for fields in ({"delivery_id": "x" * 2001}, {"delivery_id": "é" * 1001}, {"repository": "x" * 2000}):
        with pytest.raises(Rejected, match="is longer than 2000 bytes"):
            from_protobuf(delivery(**fields), ALICE, Switches())
