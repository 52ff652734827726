"""`python -m tests.retrieval`: how well memories are found, as a table."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from shared.local.servers.postgres import Postgres
from shared.postgres.migrations import migrate
from tests.retrieval.measure import measure, topics


def main() -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)  # run by root, PostgreSQL is another user
        with Postgres(Path(folder) / "postgres") as server:
            migrate(server.url)
            figures = measure(server.url)
    shown = Table(caption=f"{sum(map(len, topics().values()))} prompts, {len(topics())} topics, offline embedder")
    shown.add_column("search")
    shown.add_column("nDCG@10", justify="right")
    for way, mean in figures.items():
        shown.add_row(way, f"{mean:.3f}")
    Console().print(shown)


if __name__ == "__main__":
    main()
