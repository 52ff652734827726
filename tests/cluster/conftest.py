"""The API servers of these tests: the fake one, and a real one where the environment names it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.postgres.database import Database
from tests.cluster.api import Api
from tests.cluster.fake import FakeApiServer
from tests.cluster.fault_proxy import FaultProxy
from tests.cluster.launching import Launching, launching
from tests.cluster.stage import ClusterStage, cluster_stage
from tests.component.conftest import Stage

# They need kubectl; the fake one does not know every kind and field of what is to be deployed, and nobody's own cluster
# is changed.
DEPLOYED = ["test_deploy_script.py", "test_deployment.py", "test_doctor.py", "test_flows.py"]
collect_ignore = [] if "FACTEUR_TEST_APISERVER_PID_FILE" in os.environ else DEPLOYED
# What no server is asked for needs kubectl too, which not every machine has.
if not (os.environ.get("FACTEUR_TEST_KUBECTL") or shutil.which("kubectl")):
    collect_ignore = [*collect_ignore, "test_rendered.py"]
SERVERS = ["fake", *(["real"] if "FACTEUR_TEST_API_URL" in os.environ else [])]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeApiServer | None]:
    """The fake API server, or None for the real one."""
    if request.param == "real":
        yield None
        return
    with FakeApiServer(tmp_path / "fake-api") as server:
        yield server


@pytest.fixture
def api(server: FakeApiServer | None) -> Api:
    """Somebody who may do everything."""
    if server:
        return Api(server.url, server.credentials)
    return Api(os.environ["FACTEUR_TEST_API_URL"], Path(os.environ["FACTEUR_TEST_CREDENTIALS"]))


@pytest.fixture
def cluster(api: Api, tmp_path: Path) -> Iterator[ClusterStage]:
    with cluster_stage(api, tmp_path / "credentials") as stage:
        yield stage


@pytest.fixture
def proxy(cluster: ClusterStage) -> Iterator[FaultProxy]:
    """In front of the API server; no faults until a test wants some."""
    with FaultProxy(cluster.api.url, cluster.api.credentials / "ca.crt", seed=7) as proxy:
        yield proxy


@pytest.fixture
def stage(dsn: str, database: Database) -> Stage:
    """A database of this test alone."""
    return Stage(dsn, database)


@pytest.fixture
def dispatching(cluster: ClusterStage, proxy: FaultProxy, stage: Stage, tmp_path: Path) -> Iterator[Launching]:
    """Dispatchers as deployed, between a database and the proxy."""
    with launching(cluster, proxy, stage, tmp_path) as ready:
        yield ready
