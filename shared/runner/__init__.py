"""The Codex container's side of facteur: the standard library only, Python 3.9 and later.

from shared.runner import Task

with Task.from_env() as task:
    task.progress("reading")
    answer = work(task.prompt, task.memory(limit=5))
    task.complete(answer)

Any other command is an agent too: `python -m shared.runner -- COMMAND`.
"""

from shared.runner.errors import Away, Fenced, Refused, RunnerError, Terminated, Unacceptable
from shared.runner.memory import Memory
from shared.runner.task import Task

__all__ = ["Away", "Fenced", "Memory", "Refused", "RunnerError", "Task", "Terminated", "Unacceptable"]
