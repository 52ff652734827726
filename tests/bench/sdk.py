"""What the SDK costs an agent: `python -m tests.bench.sdk NUMBER`, with a JSON object on its input.

The input has `url`, `folder` and three pairs of task and token. The output has for each way of reporting the seconds of
each event and the CPU seconds of all: by `Task.progress`, and by bare POSTs of the same bytes, over a new connection
for each as the SDK does it and over one that is kept.
"""

import json
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from shared.runner import Task
from tests.bench.report_load import TEXT

Work = Callable[[int], None]


def main() -> None:
    number, orders = int(sys.argv[1]), json.load(sys.stdin)
    by_sdk, bare, kept = orders["tasks"]
    folder = Path(orders["folder"])
    with Task.from_env(_environment(orders["url"], folder, *by_sdk)) as task:
        measured = {"Task.progress": _measure(number, lambda n: task.progress(f"{n}. {TEXT}"))}
    connection = HTTPConnection(urlsplit(orders["url"]).netloc)
    measured["POST, new connection"] = _measure(number, _poster(orders["url"], None, *bare))
    measured["POST, kept connection"] = _measure(number, _poster(orders["url"], connection, *kept))
    connection.close()
    print(json.dumps(measured))


def _measure(number: int, work: Work) -> dict[str, object]:
    each, cpu = [], time.process_time()
    for place in range(1, number + 1):
        began = time.perf_counter()
        work(place)
        each.append(time.perf_counter() - began)
    return {"each": each, "cpu": time.process_time() - cpu}


def _poster(url: str, kept: HTTPConnection | None, task: str, token: str) -> Work:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(number: int) -> None:
        event = {
            "eventId": f"{task}-1-{number}",
            "sequence": number,
            "eventType": "progress",
            "content": f"{number}. {TEXT}",
        }
        connection = kept or HTTPConnection(urlsplit(url).netloc)
        connection.request("POST", f"/v1/codex/tasks/{task}/events", json.dumps([event]).encode(), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"a report was answered {answer.status}")
        if connection is not kept:
            connection.close()

    return post


def _environment(url: str, folder: Path, task: str, token: str) -> dict[str, str]:
    for name, text in (("prompt", "report"), ("token", token)):
        (folder / name).write_text(text)
    place = f"{url}/v1/codex/tasks/{task}"
    return {
        "CODEX_TASK_ID": task,
        "CODEX_ATTEMPT": "1",
        "CODEX_PROMPT_FILE": str(folder / "prompt"),
        "CODEX_CALLBACK_URL": place,
        "CODEX_CALLBACK_TOKEN_FILE": str(folder / "token"),
        "CODEX_MEMORY_ENDPOINT": f"{place}/memory",
        "CODEX_SPOOL_DIR": str(folder / "spool"),
    }


if __name__ == "__main__":
    main()
