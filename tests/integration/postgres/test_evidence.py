"""What a task has left at each station of its way, as the demo shows it."""

from uuid import uuid4

from shared.domain.artifact import Upload
from shared.domain.ids import stable_id
from shared.domain.memory_index import MemoryRow
from shared.domain.offer import Offered, Standing, offer
from shared.domain.policy import Verdict
from shared.domain.report import End, Report, Snapshot
from shared.domain.run import RunState
from shared.events.catalogue import RunLaunched, announce
from shared.postgres.database import Database
from shared.postgres.evidence import PgEvidence, Totals
from shared.postgres.launches import PgLaunches
from shared.postgres.memories import PgMemories
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_search import PgMemorySearch
from shared.postgres.memory_trials import PgMemoryTrials
from shared.postgres.reports import PgReports
from shared.postgres.uploads import PgUploads
from tests.integration.postgres.conftest import AcceptTask, claim


def test_an_unknown_task_has_left_nothing(database: Database) -> None:
    assert PgEvidence(database).of(uuid4()) is None
    assert PgEvidence(database).totals() == Totals(0, 0, 0, 0)


def test_an_accepted_task_has_been_stored_and_no_more(accept: AcceptTask, database: Database) -> None:
    seen = PgEvidence(database).of(accept().run_id)
    assert seen
    assert (seen.status, seen.attempts, seen.stored, seen.launched) == ("accepted", 0, True, False)
    assert (seen.reported, seen.snapshots, seen.artifacts, seen.embedded, seen.shown) == ([], [], [], [], [])


def test_every_station_leaves_its_trace(accept: AcceptTask, database: Database) -> None:
    memories, launches, reports = PgMemories(database), PgLaunches(database), PgReports(database)
    earlier, task = accept("earlier").run_id, accept("task").run_id
    PgMemoryModels(database).in_use("model:2")
    for one in (earlier, task):
        (text,) = memories.missing([one], 1)
        identity = stable_id("memory", str(one))
        memories.store([MemoryRow(identity, text, 0, text.text, text.text.encode(), (1.0, 0.0), "model:2")], None, None)
    run = claim(database, task)
    found = PgMemorySearch(database).nearest_to_task(task, 5)
    everything = offer(task, [one.memory.id for one in found], 5, 0, Standing())
    launches.brief(run, "do it", Offered(everything, found, found), None, Verdict(True, "ci", "", "v1"))
    assert launches.launched(run, "job", b"", announce(RunLaunched(task, 1, "job"), "dispatcher", None))
    PgMemoryTrials(database).choose(task, 1, found, 5, 0)
    upload = Upload(uuid4(), "change.patch", 1, "ab" * 32, "text/plain", "key")
    uploads = PgUploads(database)
    uploads.begin_upload(task, 1, upload)
    uploads.commit_upload(task, upload, "file:///key")
    snapshot = Snapshot(uuid4(), "after", "a: 1", "digest")
    batch = [Report("1", 1, "progress"), Report("2", 2, "snapshot", snapshot=snapshot), Report("3", 3, "completed")]
    reports.record(task, 1, batch, End(RunState.SUCCEEDED, "", "all done"), None)
    seen = PgEvidence(database).of(task)
    assert seen
    assert (seen.status, seen.result, seen.attempts, seen.launched) == ("succeeded", "all done", 1, True)
    assert sorted(seen.reported) == ["completed", "progress", "snapshot"]
    assert (seen.snapshots, seen.artifacts, seen.embedded) == (["after"], ["change.patch"], ["prompt"])
    assert (seen.shown, seen.asked) == ([earlier], [earlier])
    assert seen.seconds >= 0
    assert PgEvidence(database).totals() == Totals(tasks=2, launches=1, open=1, dead_letters=0)
