"""dispatcher.

In:     broker: task.prepared, a job changed (ApiServerSource), tick (PingSource)
Out:    run.launched, task.finished; relays what others left in the outbox
Writes: jobs; codex_tasks, task_runs, tasks, memory_exposure, outbox, inbox
"""

import functions_framework
from flask import Request, Response

from functions.dispatcher import wiring
from shared import telemetry
from shared.events.catalogue import JOB_CHANGED, PING, ObjectReference, TaskPrepared, read
from shared.events.event import Event
from shared.web.edge import Edge

edge = Edge("dispatcher", wiring.ready)


@edge.event(TaskPrepared.type)
def prepared(event: Event) -> None:
    fact = read(event, TaskPrepared)
    telemetry.about_task(fact.task_id)
    wiring.dispatch(fact.task_id, event)


@edge.event(JOB_CHANGED)
def job_changed(event: Event) -> None:
    wiring.look_after.job_changed(read(event, ObjectReference).name)


@edge.event(PING)
def tick(_event: Event) -> None:
    wiring.look_after.tick()


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
