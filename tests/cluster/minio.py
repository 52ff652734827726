"""Runs a command beside a real MinIO: `python -m tests.cluster.minio COMMAND ...`.

The command has FACTEUR_TEST_S3_ENDPOINT, FACTEUR_TEST_S3_BUCKET, FACTEUR_TEST_S3_ACCESS_KEY and
FACTEUR_TEST_S3_SECRET_KEY in its environment. If they are set already, that store is used: its bucket must be
there, and what tests leave in it is below `tasks/`. Else MinIO is built once from its Go module.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL
from uuid import uuid4

import urllib3

from shared.artifacts.signing import Signer
from shared.local.state import CannotStart, free_port
from shared.local.supervisor import Child, Supervisor
from shared.local.watchdog import TWIN_ID
from tests.cluster.binaries import object_store
from tests.cluster.control_plane import say
from tests.cluster.go_modules import Say

_HTTP = urllib3.PoolManager(retries=False, timeout=10)
_ENDPOINT, _BUCKET = "FACTEUR_TEST_S3_ENDPOINT", "FACTEUR_TEST_S3_BUCKET"
_ACCESS_KEY, _SECRET_KEY = "FACTEUR_TEST_S3_ACCESS_KEY", "FACTEUR_TEST_S3_SECRET_KEY"


def main() -> int:
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with minio(say) as environment:
            return subprocess.run(sys.argv[1:], env={**os.environ, **environment}, check=False).returncode
    except CannotStart as error:
        say(str(error))
        return 1


@contextmanager
def minio(say: Say) -> Iterator[Mapping[str, str]]:
    """What tests need to know of the store."""
    if _ENDPOINT in os.environ:
        yield {}
        return
    program = object_store(say)
    folder = Path(tempfile.mkdtemp(prefix="facteur-minio-"))
    environment = {
        _ENDPOINT: f"http://127.0.0.1:{free_port()}",
        _BUCKET: "facteur-tests",
        _ACCESS_KEY: "tests",
        _SECRET_KEY: uuid4().hex,
        TWIN_ID: uuid4().hex,
    }
    # Nothing outlives this process, however it ends.
    supervisor = Supervisor(environment[TWIN_ID], folder, say)
    try:
        supervisor.start(_child(program, folder, environment))
        supervisor.wait("minio")
        yield environment
    finally:
        supervisor.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _child(program: Path, folder: Path, environment: Mapping[str, str]) -> Child:
    url = environment[_ENDPOINT]
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "MINIO_ROOT_USER": environment[_ACCESS_KEY],
        "MINIO_ROOT_PASSWORD": environment[_SECRET_KEY],
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [str(program), "server", str(folder / "data"), "--address", url.removeprefix("http://"), "--quiet"]
    return Child("minio", command, env, lambda: _makes_bucket(environment), stop_signal=SIGKILL)


def _makes_bucket(environment: Mapping[str, str]) -> bool:
    """Whether the bucket is there. MinIO says that it lives before it makes any."""
    signer = Signer(environment[_ENDPOINT], "us-east-1", environment[_ACCESS_KEY], environment[_SECRET_KEY])
    with contextlib.suppress(urllib3.exceptions.HTTPError):
        answer = _HTTP.request("PUT", signer.url("PUT", f"/{environment[_BUCKET]}", time.time(), 60))
        return answer.status in (200, 409)  # made, or there already
    return False


if __name__ == "__main__":
    sys.exit(main())
