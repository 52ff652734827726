"""The yardstick of `make bench-callback`: the rows of a report, inserted by pgbench under a lock on the task's row."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from shared.local.servers.postgres import binaries
from tests.bench.report_load import TEXT

# Each client has a task for itself, and its own numbers. What it inserts is what a report inserts.
_SCRIPT = """\
\\set last :last + :batch
BEGIN;
SELECT attempt, status FROM codex_kb.codex_tasks WHERE id = ({tasks})[:client_id::int + 1] FOR UPDATE;
INSERT INTO codex_kb.codex_task_events (task_id, attempt, event_id, sequence, event_type, content)
SELECT task, 1, task || '-1-' || number, number, 'progress', to_jsonb(number || '. {text}')
FROM (SELECT ({tasks})[:client_id::int + 1] AS task) AS task,
    generate_series(:last::int - :batch::int + 1, :last::int) AS number;
UPDATE codex_kb.codex_tasks SET last_report_at = now(), reported_attempt = 1, reported_through = :last
WHERE id = ({tasks})[:client_id::int + 1];
COMMIT;
"""


def transactions(url: str, tasks: Sequence[UUID], batch: int, seconds: int, folder: Path) -> float:
    """How many a second, each with one batch."""
    literal = f"'{{{','.join(map(str, tasks))}}}'::uuid[]"
    script = folder / "report.sql"
    script.write_text(_SCRIPT.format(tasks=literal, text=TEXT))
    options = ["--no-vacuum", "--protocol=prepared", f"--client={len(tasks)}", f"--jobs={min(len(tasks), 2)}"]
    options += ["--define=last=0", f"--define=batch={batch}", f"--time={seconds}", f"--file={script}"]
    done = subprocess.run([str(binaries() / "pgbench"), *options, url], capture_output=True, text=True)
    found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if found is None or "failed transactions: 0 " not in done.stdout:
        raise SystemExit(f"pgbench failed:\n{done.stdout}{done.stderr}")
    return float(found[1])
