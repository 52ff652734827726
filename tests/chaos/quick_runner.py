"""A container that only says that it is done, and counts how often it was started."""

from pathlib import Path

from shared.runner import Task

with Path("starts").open("a") as starts:
    starts.write("started\n")
with Task.from_env() as task:
    task.complete("done at once")
