"""What every store of tasks promises to codex-intake."""

from shared.domain.ids import run_id
from tests.contract.stores.conftest import Stores


def test_a_task_is_accepted_with_its_announcement(stores: Stores) -> None:
    accepted = stores.accept()
    assert (accepted.run_id, accepted.duplicate) == (run_id("delivery-1"), False)
    assert (accepted.stage, accepted.status, accepted.body_hash) == ("implementation", "accepted", b"\x01" * 32)
    assert stores.status(accepted.run_id) == ("accepted", "", "")
    assert stores.waiting() == ["task.accepted.v1"]


def test_a_replay_finds_the_same_ids_and_announces_nothing(stores: Stores) -> None:
    first = stores.accept()
    stores.waiting()
    again = stores.accept(prompt="something else", body_hash=b"\x02" * 32)
    assert again.duplicate
    assert (again.run_id, again.task_id, again.idea_id) == (first.run_id, first.task_id, first.idea_id)
    assert (again.body_hash, again.accepted_at) == (b"\x01" * 32, first.accepted_at)
    assert stores.waiting() == []


def test_two_deliveries_for_one_source_share_its_task(stores: Stores) -> None:
    first, second = (stores.accept(name, source_ref="o/r#1") for name in ("one", "two"))
    planning = stores.accept("three", source_ref="o/r#1", stage="planning")
    assert first.run_id != second.run_id
    assert (first.idea_id, first.task_id) == (second.idea_id, second.task_id)
    assert planning.idea_id == first.idea_id
    assert planning.task_id != first.task_id
