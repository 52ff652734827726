"""What every view of tasks promises: to its tenant alone, newest first, and stories without gap or repeat."""

from typing import Any
from uuid import UUID, uuid4

from shared.domain.cursors import EntryId, TaskCursor
from shared.domain.run import RunState
from shared.domain.timeline import Wanted
from tests.contract.stores.conftest import Stores
from tests.contract.stores.test_reports import DONE, record, report


def listed(stores: Stores, tenant: str = "default", **wanted: Any) -> list[UUID]:
    return [UUID(task["taskId"]) for task in stores.views.list(tenant, Wanted(**wanted)).tasks]


def followed(stores: Stores, task: UUID, after: EntryId | None = None, limit: int = 100) -> list[str]:
    story = stores.views.follow(task, "default", after, limit)
    assert story
    return [entry.what for entry in story.entries]


def test_a_task_is_shown_to_its_tenant_alone(stores: Stores) -> None:
    task = stores.accept(metadata={"guildId": "7"}).run_id
    shown = stores.views.status(task, "default")
    assert shown
    assert (shown["taskId"], shown["cancelRequested"], shown["metadata"]) == (str(task), False, {"guildId": "7"})
    assert listed(stores) == [task]
    assert stores.views.timeline(task, "default")
    assert stores.views.follow(task, "default", None, 9)
    assert listed(stores, tenant="someone else") == []
    for unknown, tenant in ((task, "someone else"), (uuid4(), "default")):
        assert stores.views.status(unknown, tenant) is None
        assert not stores.views.timeline(unknown, tenant)
        assert stores.views.follow(unknown, tenant, None, 9) is None


def test_a_run_sees_its_own_task_while_it_is_the_latest_attempt(stores: Stores) -> None:
    task, other = stores.accept("one", tenant="someone else").run_id, stores.accept("two").run_id
    stores.launch(task)
    shown = stores.views.own_status(task, 1)
    assert shown
    assert (shown["taskId"], shown["attempts"]) == (str(task), 1)
    for unknown, attempt in ((task, 2), (other, 1), (uuid4(), 1)):
        assert stores.views.own_status(unknown, attempt) is None


def test_tasks_are_listed_newest_first_with_what_is_known_of_them(stores: Stores) -> None:
    first, second = stores.accept("one", repository="o/r", priority=3).run_id, stores.accept("two").run_id
    stores.launch(first)
    stores.cancel(second)
    newest, oldest = stores.views.list("default", Wanted()).tasks
    assert [newest["taskId"], oldest["taskId"]] == [str(second), str(first)]
    assert (newest["status"], newest["reason"], newest["cancelRequested"]) == ("canceled", "canceled by alice", True)
    assert newest["finishedAt"] >= newest["acceptedAt"]
    assert (oldest["repository"], oldest["priority"], oldest["caller"], oldest["stage"], oldest["mode"]) == (
        *("o/r", 3, "alice"),
        *("implementation", "direct"),
    )
    assert oldest["launchedAt"] is not None
    assert oldest["finishedAt"] is None


def test_only_what_is_wanted_is_listed(stores: Stores) -> None:
    mine = stores.accept("one", repository="o/r").run_id
    running = stores.accept("two", caller="bob", repository="o/r").run_id
    canceled = stores.accept("three", caller="bob").run_id
    stores.launch(running)
    stores.cancel(canceled)
    assert listed(stores, statuses=(RunState.RUNNING, RunState.ACCEPTED)) == [running, mine]
    assert listed(stores, caller="bob") == [canceled, running]
    assert listed(stores, repository="o/r") == [running, mine]
    assert listed(stores, caller="bob", repository="o/r", statuses=(RunState.CANCELED,)) == []
    assert listed(stores, caller="nobody") == []


def test_pages_hold_everything_once_while_new_tasks_come_in(stores: Stores) -> None:
    known = [stores.accept(f"old-{number}").run_id for number in range(7)]
    found: list[UUID] = []
    before: TaskCursor | None = None
    for number in range(4):
        page = stores.views.list("default", Wanted(limit=2, before=before))
        found += [UUID(task["taskId"]) for task in page.tasks]
        stores.accept(f"new-{number}")
        if page.next is None:
            break
        before = TaskCursor.parse(str(page.next))
    assert page.next is None
    assert found == known[::-1]


def test_a_full_last_page_has_none_after_it(stores: Stores) -> None:
    for number in range(4):
        stores.accept(str(number))
    first = stores.views.list("default", Wanted(limit=2))
    assert first.next
    assert stores.views.list("default", Wanted(limit=2, before=first.next)).next is None


def test_a_story_is_told_in_the_order_of_what_happened(stores: Stores) -> None:
    task = stores.accept().run_id
    assert stores.story(task) == ["accepted"]
    stores.launch(task)
    record(stores, task, report(1), report(2, "log"))
    record(stores, task, report(3), report(4, "completed"), end=DONE)
    told = ["accepted", "launched", "progress", "log", "progress", "completed", "succeeded"]
    assert stores.story(task) == told
    assert followed(stores, task) == told
    entries = stores.views.timeline(task, "default")
    details = {entry.what: entry.detail for entry in entries}
    assert details["accepted"] == {"caller": "alice", "stage": "implementation", "mode": "direct"}
    assert details["launched"] == {"attempt": 1, "resource": "job"}
    assert details["completed"] == {"attempt": 1, "sequence": 4, "content": "content 4"}
    assert details["succeeded"] == {"reason": "", "result": "all done"}
    assert [entry.id for entry in entries] == sorted({entry.id for entry in entries})


def test_a_repeated_note_of_a_launch_is_told_once(stores: Stores) -> None:
    task = stores.accept().run_id
    run = stores.claim(task)
    for _ in range(2):
        assert stores.launched(run)
    assert stores.story(task) == ["accepted", "launched"]


def test_whoever_goes_on_from_any_entry_gets_exactly_the_rest(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    record(stores, task, report(1), report(2), report(3))
    whole = stores.views.timeline(task, "default")
    for number, entry in enumerate(whole, 1):
        story = stores.views.follow(task, "default", EntryId.parse(str(entry.id)), 100)
        assert story
        assert list(story.entries) == list(whole[number:])
    assert followed(stores, task, limit=2) == ["accepted", "launched"]


def test_a_story_is_over_once_its_end_is_told_and_not_before(stores: Stores) -> None:
    task = stores.accept().run_id
    stores.launch(task)
    record(stores, task, report(1))
    story = stores.views.follow(task, "default", None, 100)
    assert story
    assert not story.over
    last = story.entries[-1].id
    record(stores, task, report(2, "completed"), end=DONE)
    cut = stores.views.follow(task, "default", last, 2)
    assert cut
    assert ([entry.what for entry in cut.entries], cut.over) == (["completed", "succeeded"], False)
    rest = stores.views.follow(task, "default", last, 3)
    assert rest
    assert rest.over
    after = stores.views.follow(task, "default", cut.entries[-1].id, 3)
    assert after
    assert (list(after.entries), after.over) == ([], True)
