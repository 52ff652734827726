"""Tells the broker that a job has ended, as the ApiServerSource of a cluster does."""

import http.client
import json
import logging
import queue
import threading
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from shared.domain.job import JobState

RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0, 4.0)

log = logging.getLogger("node.announcements")


class Announcements:
    """Posts one event after the other beside the launcher's loop; gives up after a few tries.

    What is given up, or lost with the process, the dispatcher's tick finds by looking at the jobs.
    """

    def __init__(self, broker: str) -> None:
        self._broker = urlsplit(broker)
        self._waiting: queue.SimpleQueue[JobState] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="announcements", daemon=True).start()

    def add(self, state: JobState) -> None:
        self._waiting.put(state)

    def _run(self) -> None:
        while True:
            state = self._waiting.get()
            for pause in (*RETRY_SECONDS, None):
                if self._post(state):
                    break
                if pause is None:
                    log.warning("the end of %s could not be announced", state.name)
                else:
                    time.sleep(pause)

    def _post(self, state: JobState) -> bool:
        headers, body = job_changed(state)
        connection = http.client.HTTPConnection(self._broker.hostname or "", self._broker.port, timeout=5)
        try:
            connection.request("POST", self._broker.path or "/", body, headers)
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def job_changed(state: JobState) -> tuple[dict[str, str], bytes]:
    """The event in binary mode: headers and body."""
    subject = f"/apis/batch/v1/namespaces/default/jobs/{state.name}"
    headers = {
        "ce-specversion": "1.0",
        "ce-type": "dev.knative.apiserver.ref.update",
        "ce-source": "/local/node",
        "ce-id": str(uuid5(NAMESPACE_URL, f"{subject}#{state.phase}")),
        "ce-subject": subject,
        "ce-time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
    }
    reference = {"apiVersion": "batch/v1", "kind": "Job", "namespace": "default", "name": state.name}
    return headers, json.dumps(reference).encode()
