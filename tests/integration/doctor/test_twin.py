"""The twin, as `facteur dev` runs it, has nothing wrong: its servers, and the settings of every function."""

from pathlib import Path

import psutil

from shared.doctor.examination import look
from shared.doctor.looks import Asked
from shared.local.servers.postgres import Postgres
from shared.local.twin import Twin, TwinSettings
from shared.web.serve import FUNCTIONS


def test_a_twin_has_nothing_wrong(tmp_path: Path) -> None:
    twin = Twin(TwinSettings(tmp_path / "state"), said=lambda _: None)
    try:
        with twin as info:
            pid = twin.pid("callback")
            assert pid
            environ = psutil.Process(pid).environ()
            report = look(Asked(dsn=info.dsn, redis_url=info.redis_url, environ=environ, functions=FUNCTIONS))
    finally:
        Postgres(tmp_path / "state" / "postgres").erase()
    assert [f"{finding.check}: {finding.what}" for finding in report.findings] == []
    assert [missed.why for missed in report.not_looked if missed.wanted] == []
    assert report.looked > 40
