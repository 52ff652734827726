"""dispatcher.

In:     broker: task.prepared, task.cancel-requested, a job changed, a job deleted (ApiServerSource), tick (PingSource)
Out:    run.launched, task.finished; relays what others left in the outbox
Writes: jobs; codex_tasks, task_runs, tasks, run_events, codex_task_briefs, codex_task_snapshots, memory_exposure,
        memory_trials, policy_checks, outbox
"""

from typing import TYPE_CHECKING

import functions_framework
from flask import Request, Response

from functions.dispatcher.settings import Settings
from shared import telemetry
from shared.events.catalogue import (
    JOB_CHANGED,
    JOB_DELETED,
    PING,
    ObjectReference,
    TaskCancelRequested,
    TaskPrepared,
    read,
)
from shared.events.event import Event
from shared.settings import load
from shared.web.deferred import Deferred
from shared.web.edge import Edge

if TYPE_CHECKING:
    from functions.dispatcher import wiring
else:
    wiring = Deferred("functions.dispatcher.wiring")  # the database driver is half of a start

settings = load(Settings)
edge = Edge("dispatcher", lambda: wiring.ready())


@edge.event(TaskPrepared.type)
def prepared(event: Event) -> None:
    fact = read(event, TaskPrepared)
    telemetry.about_task(fact.task_id)
    wiring.dispatch(fact.task_id)


@edge.event(TaskCancelRequested.type)
def cancel_requested(event: Event) -> None:
    fact = read(event, TaskCancelRequested)
    telemetry.about_task(fact.task_id)
    wiring.look_after.cancel_requested(fact.task_id)


@edge.event(JOB_CHANGED)
@edge.event(JOB_DELETED)
def job_changed(event: Event) -> None:
    wiring.look_after.job_changed(read(event, ObjectReference).name)


@edge.event(PING)
def tick(_event: Event) -> None:
    wiring.look_after.tick()


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
