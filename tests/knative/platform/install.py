"""Installs Knative Eventing, Serving and Kourier on a cluster, and waits until they work."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.go_modules import Say
from tests.knative.cluster.node import Node
from tests.knative.platform.images import platform_images
from tests.knative.platform.manifests import EVENTING, KOURIER, SERVING, Manifest, Part, definitions, manifests
from tests.knative.platform.programs import sources

_PATIENCE = "300s"


class Platform:
    """Knative on a cluster; each part is installed by a method of its own, in this order."""

    def __init__(self, cluster: Node, say: Say) -> None:
        self._cluster = cluster
        self._said = say
        self._started = 0.0
        self._sources: dict[str, Path] = {}
        self._tag = ""

    def prepare(self) -> None:
        """Import the images, and define the kinds."""
        self._started = time.monotonic()
        self._tag, tars = platform_images(self._cluster.base, self._said)
        for tar in tars:
            self._cluster.import_image(tar)
        self._say(f"{len(tars)} images of Knative imported")
        self._sources = sources(self._said)
        kinds = definitions(self._sources)
        self._apply(kinds)
        names = [f"crd/{kind['metadata']['name']}" for kind in kinds]
        self._cluster.kubectl("wait", "--for=condition=Established", f"--timeout={_PATIENCE}", *names)
        self._say(f"{len(kinds)} kinds of Knative served")

    def eventing(self) -> None:
        self._install("Knative Eventing", EVENTING, "knative-eventing")

    def serving(self) -> None:
        """Serving is of use only with an ingress."""
        self._install("Knative Serving", SERVING, "knative-serving")
        self._install("Kourier", KOURIER, "knative-serving", "kourier-system")

    def _install(self, title: str, part: Part, *namespaces: str) -> None:
        self._started = time.monotonic()
        self._apply(manifests(self._sources, part, self._tag))
        for namespace in namespaces:
            wait = ("wait", "--for=condition=Available", f"--timeout={_PATIENCE}", "deployment", "--all")
            self._cluster.kubectl(*wait, f"--namespace={namespace}")
        self._say(f"{title} available")

    def _apply(self, documents: Sequence[Manifest]) -> None:
        items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
        self._cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=json.dumps(items))

    def _say(self, what: str) -> None:
        # Each part counts from its own beginning.
        self._said(f"{what} after {time.monotonic() - self._started:.1f} s")
