"""A new database has a role for each function, with the password of its Secret."""

import os
import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from shared.local.servers.postgres import Postgres, binaries
from tests.architecture.kustomizations import KNATIVE, documents, make_secrets, pod_specs

SERVERS = KNATIVE / "platform" / "plain-servers"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("new") / "postgres") as running:
        yield running


def test_the_roles_of_a_new_database_are_those_of_the_secrets(server: Postgres) -> None:
    secrets = make_secrets().contents("disable", {})
    owned = {name: data for name, data in secrets.items() if name.startswith("facteur-postgres-")}
    root = owned.pop("facteur-postgres-superuser")
    with psycopg.connect(server.url, autocommit=True) as connection:
        # Here the image's superuser does not exist yet, and the owner does.
        connection.execute(f"CREATE ROLE postgres SUPERUSER LOGIN PASSWORD '{root['password']}'")
        connection.execute(f"ALTER ROLE facteur PASSWORD '{owned['facteur-postgres-migrate']['password']}'")
    _run(server, root["password"], {variable: owned[name]["password"] for variable, name in _asked() if name in owned})
    for data in owned.values():
        with psycopg.connect(make_conninfo(data["dsn"], host="127.0.0.1", port=server.port)) as connection:
            row = connection.execute("SELECT current_user, '[1]'::vector::text").fetchone()
        assert row == (data["username"], "[1]")


def _asked() -> Iterator[tuple[str, str]]:
    """The variables with which the script is run, and the Secrets that they come from."""
    (postgres,) = (
        pod for document, pod, _ in pod_specs(documents(SERVERS)) if document["metadata"]["name"] == "facteur-postgres"
    )
    for entry in postgres["containers"][0]["env"]:
        if entry["name"].startswith("PASSWORD_") and entry["name"] != "PASSWORD_facteur":
            assert entry["valueFrom"]["secretKeyRef"]["key"] == "password"
            yield entry["name"], entry["valueFrom"]["secretKeyRef"]["name"]


def _run(server: Postgres, password: str, passwords: dict[str, str]) -> None:
    environ = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGPASSWORD": password, **passwords}
    environ["PATH"] = f"{binaries()}{os.pathsep}{os.environ['PATH']}"
    # As the image does it: read into a script of its own.
    command = ["bash", "-Eeo", "pipefail", "-c", '. "$1"', "bash", str(SERVERS / "roles.sh")]
    run = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
