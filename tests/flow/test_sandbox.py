"""What docker-compose.yml starts works together: the end-to-end suite passes against it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.artifacts.front import ACCESS_KEY, SECRET_KEY, make_bucket, signed_moto
from tests.e2e import target
from tests.flow.sandbox import Sandbox, running
from tests.flow.suite import suite


@pytest.fixture
def sandbox(empty_dsn: str, redis_url: str, tmp_path: Path) -> Iterator[Sandbox]:
    with signed_moto() as endpoint:
        make_bucket(endpoint, "facteur")
        servers = {
            "FACTEUR_POSTGRES_DSN": empty_dsn,
            "FACTEUR_REDIS_URL": redis_url,
            "MINIO_ENDPOINT": endpoint,
            "MINIO_ACCESS_KEY": ACCESS_KEY,
            "MINIO_SECRET_KEY": SECRET_KEY,
        }
        sandbox = Sandbox(tmp_path, servers)
        with running(sandbox):
            yield sandbox


@pytest.mark.timeout(1500)
def test_the_suite_passes_against_the_commands_and_variables_of_the_sandbox(sandbox: Sandbox, empty_dsn: str) -> None:
    named = {name: value for name, value in sandbox.made.items() if name in target.VARIABLES}
    assert named.keys() >= {target.BASE_URL, target.TOKEN, target.POSTGRES_DSN, target.DISCORD_KEY}
    named |= {target.BASE_URL: sandbox.url, target.POSTGRES_DSN: empty_dsn}
    del named[target.ARTIFACTS_URL]
    done = suite(**named)
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
