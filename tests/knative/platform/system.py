"""The whole system on a cluster with Knative: our overlay as it is, and the servers beside the cluster."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from tests.cluster.go_modules import Say
from tests.knative.platform.cluster import Knative
from tests.knative.platform.function_images import function_images
from tests.knative.platform.servers import Servers, servers

_OVERLAY = "tests/knative/platform/overlay"
_SERVICES = "services.serving.knative.dev"
NAMESPACE = "facteur"
# Of nobody's application: the public half is in the overlay.
_DISCORD_SEED = sha256(b"facteur on a real Knative").hexdigest()
# A small machine with much to do starts six functions at once.
_PATIENCE_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Deployed:
    """A system that is Ready."""

    knative: Knative
    servers: Servers

    @property
    def environment(self) -> Mapping[str, str]:
        """By which the end-to-end suite finds it; functions are asked by their names inside the cluster."""
        suffix = f"{NAMESPACE}.svc.cluster.local"
        return {
            "FACTEUR_E2E_BASE_URL": self.knative.ingress,
            "FACTEUR_E2E_TOKEN": self.servers.token,
            "FACTEUR_E2E_HOST_SUFFIX": suffix,
            "FACTEUR_E2E_MEMORY_HOST": f"memory-query.{suffix}",
            "FACTEUR_E2E_BROKER_URL": self.knative.broker_url(NAMESPACE, "facteur"),
            "FACTEUR_E2E_ARTIFACTS_URL": self.servers.artifacts,
            "FACTEUR_E2E_POSTGRES_DSN": self.servers.dsn,
            "FACTEUR_E2E_DISCORD_PRIVATE_KEY": _DISCORD_SEED,
        }


@contextmanager
def deployed(knative: Knative, say: Say) -> Iterator[Deployed]:
    """Everything applied and Ready: `kubectl apply -k`, as a newcomer does it."""
    with servers(knative.cluster, say) as beside:
        with function_images(knative.cluster.base, say) as tars:
            for tar in tars:
                knative.cluster.import_image(tar)
        started = time.monotonic()
        with knative.manifests():
            knative.apply(beside.manifests)
            knative.apply_folder(_OVERLAY)
            _wait(knative)
            say(f"the system is Ready {time.monotonic() - started:.1f} s after it was applied")
            yield Deployed(knative, beside)


def _wait(knative: Knative) -> None:
    wait = ("wait", "--for=condition=Complete", f"--timeout={_PATIENCE_SECONDS}s", "job/facteur-migrate-dev")
    knative.cluster.kubectl(*wait, f"--namespace={NAMESPACE}")
    for kind in (_SERVICES, "brokers", "triggers", "pingsources", "apiserversources", "sinkbindings"):
        knative.wait_ready(kind, NAMESPACE, _PATIENCE_SECONDS)
