"""The ceilings of `make bench-intake`: what framework and database manage when each has the machine to itself."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from google.protobuf.json_format import Parse

from functions.codex_intake.deliveries import from_protobuf
from functions.codex_intake.orchestrate import Switches
from shared.domain.ids import run_id
from shared.domain.token import Caller
from shared.events.catalogue import TaskAccepted, announce
from shared.events.protobuf.proompteng.froussard.v1.codex_task_pb2 import CodexTask
from shared.local.servers.postgres import binaries
from shared.local.state import free_port
from shared.postgres import tasks
from shared.telemetry import new_traceparent
from tests.bench.load import EXAMPLE
from tests.bench.start import await_ok

_DELIVERY = "delivery-of-the-bench"
# pgbench makes these anew for each transaction; the rest is the example's.
_OWN = {
    "run_id": "gen_random_uuid()",
    "event_id": "gen_random_uuid()",
    "delivery_id": ":n::bigint::text",
    "source_ref": ":n::bigint::text",
}


@contextmanager
def framework() -> Iterator[str]:
    """The URL of an empty Functions Framework handler under the same server."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.bare", str(port)], stdout=subprocess.DEVNULL)
    try:
        await_ok(process, port, "/", time.perf_counter())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def database(url: str, connections: int, seconds: int, folder: Path) -> float:
    """Transactions a second of intake's own SQL, one delivery each, sent by pgbench."""
    script = folder / "accept.sql"
    script.write_text(f"\\set n random(1, 9223372036854775806)\n{_statement()};\n")
    options = ["--no-vacuum", "--protocol=prepared", f"--client={connections}", f"--jobs={min(connections, 2)}"]
    command = [str(binaries() / "pgbench"), *options, f"--time={seconds}", f"--file={script}", url]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if found is None or "failed transactions: 0 " not in done.stdout:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return float(found[1])


def _statement() -> str:
    task = Parse(EXAMPLE.read_text(), CodexTask())
    task.delivery_id = _DELIVERY
    request = from_protobuf(task.SerializeToString(), Caller("tests", "default", frozenset()), Switches())
    event = announce(TaskAccepted(run_id(_DELIVERY)), "codex-intake", new_traceparent())
    columns = json.loads(tasks._encoded(request, event, new_traceparent()))
    rest = json.dumps({name: value for name, value in columns.items() if name not in _OWN}).replace("'", "''")
    made = ", ".join(f"'{name}', {value}" for name, value in _OWN.items())
    given = {
        "tasks": f"jsonb_build_array('{rest}'::jsonb || jsonb_build_object({made}))",
        "lock_timeout": f"'{tasks.LOCK_SECONDS}s'",
    }
    return tasks._ACCEPT % given
