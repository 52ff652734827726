"""discord-interaction.

In:     POST /interactions (signed by Discord), POST /events (CommandEvent protobuf, API token);
        broker: task.accepted, run.launched, run.reported, task.finished, command.parked, tick
Out:    task.requested, task.cancel-requested, task.finished
Writes: discord_cards, codex_tasks, task_runs, tasks, run_events, outbox, dead_letters; tokens and sessions in Redis
"""

import functions_framework
from flask import Request, Response

from functions.discord_interaction import door_wiring
from functions.discord_interaction.door import Door
from functions.discord_interaction.events import Events
from functions.discord_interaction.following import Following
from shared.events.catalogue import COMMAND_PARKED, PING, RunLaunched, RunReported, TaskAccepted, TaskFinished
from shared.web.callers import Callers
from shared.web.edge import Edge

settings = door_wiring.settings
following = Following()
door = Door(settings, following.take)
events = Events(settings, Callers(settings.callers), following.take)

edge = Edge("discord-interaction", lambda: door_wiring.ready())
edge.route("POST", "/interactions")(door.interactions)
edge.route("POST", "/events")(events.command)
edge.event(TaskAccepted.type)(events.happened)
edge.event(RunLaunched.type)(events.happened)
edge.event(RunReported.type)(events.happened)
edge.event(TaskFinished.type)(events.happened)
edge.event(COMMAND_PARKED)(events.again)
edge.event(PING)(events.tick)


@functions_framework.http
def handle(request: Request) -> Response:
    return edge(request)
