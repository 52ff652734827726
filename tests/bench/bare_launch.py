"""The calls of one launch, in the same order, by a loop without our code: what the client and the server allow.

`python -m tests.bench.bare_launch URL CREDENTIALS NAMESPACE AT_ONCE NUMBER` prints as JSON the seconds that
each launch took, those of all together, and the CPU seconds of one.
"""

import json
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, Configuration
from kubernetes.dynamic import DynamicClient

from shared.domain.job import Job
from shared.kubernetes.jobs import PodSettings, manifest

MERGE = "application/merge-patch+json"


def main() -> None:
    url, credentials, namespace, at_once, number = sys.argv[1:]
    configuration = Configuration(host=url)
    configuration.ssl_ca_cert = f"{credentials}/ca.crt"
    configuration.api_key["authorization"] = f"Bearer {(Path(credentials) / 'token').read_text()}"
    configuration.connection_pool_maxsize = 64
    client = DynamicClient(ApiClient(configuration))
    secrets = client.resources.get(api_version="v1", kind="Secret")
    jobs = client.resources.get(api_version="batch/v1", kind="Job")
    launch(secrets, jobs, namespace)
    ready = threading.Barrier(int(at_once))

    def worker(share: int) -> list[float]:
        ready.wait()
        return [launch(secrets, jobs, namespace) for _ in range(share)]

    with ThreadPoolExecutor(int(at_once)) as pool:
        began, cpu = time.perf_counter(), time.process_time()
        each = list(pool.map(worker, [int(number) // int(at_once)] * int(at_once)))
        taken = time.perf_counter() - began
    seconds = list(chain.from_iterable(each))
    print(json.dumps({"each": seconds, "all": taken, "cpu": (time.process_time() - cpu) / len(seconds)}))


def launch(secrets: Any, jobs: Any, namespace: str) -> float:
    """The seconds that it took."""
    began = time.perf_counter()
    name = f"bare-{uuid.uuid4()}"
    job = manifest(Job(name, str(uuid.uuid4()), 1, 3600), PodSettings("registry.invalid/codex:1"))
    secret = {"metadata": {"name": name}, "immutable": True, "stringData": {"CODEX_PROMPT_FILE": "Do nothing"}}
    secrets.create(secret, namespace=namespace)
    uid = jobs.create(job, namespace=namespace).metadata.uid
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}
    owned = {"metadata": {"ownerReferences": [owner]}}
    secrets.patch(owned, name=name, namespace=namespace, content_type=MERGE)
    jobs.patch({"spec": {"suspend": False}}, name=name, namespace=namespace, content_type=MERGE)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
