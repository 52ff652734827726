"""Knative Services that nobody runs: their names lead to a server of the test."""

import json

from shared.web.serve import FUNCTIONS
from tests.knative.cluster.node import Node


def stand_in(cluster: Node, namespace: str, address: str) -> None:
    """Make a Service of each function's name whose address is `address` and its name; Serving must not be there."""
    for function in FUNCTIONS:
        metadata = {"name": function, "namespace": namespace}
        kind = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata}
        spec = {"template": {"spec": {"containers": [{"image": "img.invalid/none:0"}]}}}
        cluster.kubectl("apply", "--server-side", "-f", "-", given=json.dumps({**kind, "spec": spec}))
        status = {"address": {"url": f"{address}/{function}"}, "url": f"{address}/{function}"}
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        patch = json.dumps({"status": {**status, **ready}})
        how = ("--subresource=status", "--type=merge", f"--patch={patch}")
        cluster.kubectl("patch", f"services.serving.knative.dev/{function}", f"--namespace={namespace}", *how)
