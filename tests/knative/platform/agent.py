"""What runs in the container of a task on the cluster of the tests: no model, and no git, which its image lacks."""

import sys
import time

from shared.local.agent import read_order
from shared.runner import Away, Memory, RunnerError, Task


def main() -> int:
    try:
        with Task.from_env() as task:
            return _work(task)
    except RunnerError as error:
        print(f"The agent stopped: {error}.", file=sys.stderr)
        return 1


def _work(task: Task) -> int:
    order = read_order(task.prompt)
    until = time.monotonic() + order.seconds
    while time.monotonic() < until:
        task.heartbeat()
        time.sleep(1)
    memories = _recall(task, order.text)
    task.progress(f"Memories of earlier tasks shown: {len(memories)}.")
    if order.fails:
        task.fail("The prompt asked for that.")
        return 1
    task.artifact(order.text.encode(), "order.txt", "text/plain")
    task.usage(memories=len(memories))
    task.complete(f"Read the order: {order.text}")
    return 0


def _recall(task: Task, text: str) -> list[Memory]:
    """A start from zero may take longer than a question is patient: the work goes on without."""
    try:
        return task.ask(text)
    except Away:
        return []


if __name__ == "__main__":
    sys.exit(main())
