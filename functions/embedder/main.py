"""embedder.

In:     broker: task.accepted, run.launched, run.reported, task.finished, tick
Out:    task.prepared
Writes: codex_task_memory_index, codex_task_memory_vectors, memory_models (the first), codex_tasks, outbox, inbox;
        memory_trials, memory_sums, memory_effects, memory_scopes (what outcomes teach);
        memory_tombstones, codex_task_briefs (what is forgotten); vectors and due times in Redis
"""

from typing import TYPE_CHECKING

import functions_framework
from flask import Request, Response

from functions.embedder.settings import Settings
from shared import telemetry
from shared.events.catalogue import PING, Fact, RunLaunched, RunReported, TaskAccepted, TaskFinished, read
from shared.events.event import Event
from shared.settings import load
from shared.web.deferred import Deferred
from shared.web.edge import Edge

if TYPE_CHECKING:
    from functions.embedder import wiring
else:
    wiring = Deferred("functions.embedder.wiring")  # the database driver is half of a start

settings = load(Settings)
edge = Edge("embedder", lambda: wiring.ready())


@edge.event(TaskAccepted.type)
def accepted(event: Event) -> None:
    fact = read(event, TaskAccepted)
    telemetry.about_task(fact.task_id)
    wiring.embed().accepted(fact.task_id, event, telemetry.traceparent())


@edge.event(RunLaunched.type)
@edge.event(RunReported.type)
@edge.event(TaskFinished.type)
def reported(event: Event) -> None:
    fact = read(event, Fact)
    telemetry.about_task(fact.task_id)
    if event.type == TaskFinished.type:
        wiring.learning.learn(fact.task_id)
    wiring.embed().reported(fact.task_id, event)


@edge.event(PING)
def tick(_event: Event) -> None:
    wiring.learning.catch_up()
    wiring.embed().catch_up()
    wiring.indexes().look_after()
    wiring.retain()


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
