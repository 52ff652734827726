"""What is told of the tasks in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.domain.cursors import EntryId, TaskCursor
from shared.domain.timeline import Entry, Page, Story, Wanted
from tests.contract.stores.fakes import Kept, World


@dataclass
class FakeViews:
    world: World

    def list(self, tenant: str, wanted: Wanted) -> Page:
        fitting = sorted(
            (kept for kept in self.world.tasks.values() if kept.run.tenant == tenant and _fits(kept, wanted)),
            key=_cursor,
            reverse=True,
        )
        shown = fitting[: wanted.limit]
        following = _cursor(shown[-1]) if len(fitting) > wanted.limit else None
        return Page([_shown(kept) for kept in shown], following)

    def status(self, task_id: UUID, tenant: str) -> Mapping[str, Any] | None:
        kept = self._of(task_id, tenant)
        return self._whole(kept) if kept else None

    def own_status(self, task_id: UUID, attempt: int) -> Mapping[str, Any] | None:
        kept = self.world.tasks.get(task_id)
        return self._whole(kept) if kept and kept.run.attempt == attempt else None

    @staticmethod
    def _whole(kept: Kept) -> Mapping[str, Any]:
        return _shown(kept) | {
            "result": kept.result,
            "attempts": kept.run.attempt,
            "usage": kept.usage,
            "metadata": dict(kept.run.metadata),
        }

    def timeline(self, task_id: UUID, tenant: str) -> Sequence[Entry]:
        kept = self._of(task_id, tenant)
        return tuple(kept.story) if kept else ()

    def follow(self, task_id: UUID, tenant: str, after: EntryId | None, limit: int) -> Story | None:
        kept = self._of(task_id, tenant)
        if kept is None:
            return None
        left = [entry for entry in kept.story if after is None or entry.id > after]
        return Story(left[:limit], kept.run.status.final and len(left) < limit)

    def _of(self, task: UUID, tenant: str) -> Kept | None:
        kept = self.world.tasks.get(task)
        return kept if kept and kept.run.tenant == tenant else None


def _cursor(kept: Kept) -> TaskCursor:
    return TaskCursor(kept.accepted.accepted_at, kept.run.id)


def _fits(kept: Kept, wanted: Wanted) -> bool:
    return (
        kept.run.status in (wanted.statuses or (kept.run.status,))
        and wanted.caller in (None, kept.run.caller)
        and wanted.repository in (None, kept.run.repository)
        and (wanted.before is None or _cursor(kept) < wanted.before)
    )


def _shown(kept: Kept) -> dict[str, Any]:
    run = kept.run
    told = {entry.what: entry.at for entry in kept.story}
    return {
        "taskId": str(run.id),
        "status": run.status.value,
        "reason": kept.reason,
        "stage": run.stage,
        "mode": run.mode,
        "caller": run.caller,
        "repository": run.repository,
        "priority": kept.request.priority,
        "acceptedAt": kept.accepted.accepted_at,
        "launchedAt": told.get("launched"),
        "finishedAt": told.get(run.status.value) if run.status.final else None,
        "cancelRequested": kept.canceled_by is not None,
    }
