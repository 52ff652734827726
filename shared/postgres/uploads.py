"""Files that containers leave: promised, kept as artifacts, or forgotten."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared.domain.artifact import Upload
from shared.domain.errors import Conflict, NotFound, Unauthenticated
from shared.domain.task_token import GRACE_SECONDS, REFUSED
from shared.postgres.database import Cursor, Database, Row

# One row, none for an unknown task; without an upload if the attempt is over. The first promise counts.
_BEGIN = """
WITH task AS (
    SELECT id, attempt, finished_at FROM codex_kb.codex_tasks WHERE id = %(id)s
), begun AS (
    INSERT INTO codex_kb.codex_task_uploads (id, task_id, attempt, name, size, sha256, content_type, key, parts)
    SELECT %(upload_id)s, task.id, attempt, %(name)s, %(size)s, %(sha256)s, %(content_type)s, %(key)s, %(parts)s
    FROM task WHERE attempt = %(attempt)s AND finished_at IS NULL
    ON CONFLICT (id) DO UPDATE SET open_since = now()
    RETURNING id, content_type, key
)
SELECT task.attempt, finished_at < now() - %(grace)s * interval '1 second' AS forgotten, begun.id, content_type, key
FROM task LEFT JOIN begun ON true
"""

# It is about to be used, so that no collector shall come meanwhile; an attempt that is over uses nothing.
_FIND = """
WITH task AS (
    SELECT id, attempt, coalesce(finished_at < now() - %(grace)s * interval '1 second', false) AS forgotten
    FROM codex_kb.codex_tasks WHERE id = %(id)s
), found AS (
    UPDATE codex_kb.codex_task_uploads AS upload SET open_since = CASE WHEN open_since IS NOT NULL THEN now() END
    FROM task
    WHERE upload.id = %(upload_id)s AND task_id = task.id AND upload.attempt = %(attempt)s
        AND task.attempt = %(attempt)s AND NOT forgotten
    RETURNING upload.id, name, size, sha256, content_type, key, parts
)
SELECT task.attempt, forgotten, found.id, name, size, sha256, content_type, key, parts
FROM task LEFT JOIN found ON true
"""

# The row is written in any case: a collector that waits for it looks at it anew. What is sent in parts stays
# open, because its links may bring parts again.
_COMMIT = """
WITH upload AS (
    UPDATE codex_kb.codex_task_uploads SET open_since = CASE WHEN parts > 0 THEN now() END
    WHERE id = %(upload_id)s AND task_id = %(id)s RETURNING id
), kept AS (
    INSERT INTO codex_kb.artifacts (id, task_run_id, artifact_type, uri, checksum, metadata)
    SELECT id, %(id)s, 'file', %(uri)s, %(sha256)s, %(metadata)s FROM upload
    ON CONFLICT (id) DO NOTHING
)
SELECT id FROM upload
"""

_STALE = """
SELECT id, name, size, sha256, content_type, key, parts FROM codex_kb.codex_task_uploads
WHERE open_since < now() - %(age)s * interval '1 second'
ORDER BY open_since LIMIT 1 FOR UPDATE SKIP LOCKED
"""
# In a statement of its own, so that it sees what was committed before the lock was had.
_KEPT = "SELECT FROM codex_kb.artifacts WHERE id = %(upload_id)s"
_CLOSE = "UPDATE codex_kb.codex_task_uploads SET open_since = NULL WHERE id = %(upload_id)s"
_FORGET = "DELETE FROM codex_kb.codex_task_uploads WHERE id = %(upload_id)s"

_UNKNOWN = "there is no such artifact"


class PgUploads:
    """Uploads of runs, and the artifacts they become."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin_upload(self, task: UUID, attempt: int, upload: Upload) -> Upload:
        """The upload as it was promised first; the same one twice is once. Conflict once the attempt is over."""
        parameters = _columns(task, upload) | {"attempt": attempt, "grace": GRACE_SECONDS}
        row = _current(self._database.one(_BEGIN, parameters), attempt, "there is no such task")
        if row["id"] is None:
            raise Conflict("the run has ended: nothing more is kept")
        return Upload(upload.id, upload.name, upload.size, upload.sha256, row["content_type"], row["key"], upload.parts)

    def upload(self, task: UUID, attempt: int, upload_id: UUID) -> Upload:
        """An upload that this attempt was promised; NotFound if it was not, or is forgotten.

        Conflict once another attempt has taken over, Unauthenticated once the grace after the end is over.
        """
        parameters = {"id": task, "attempt": attempt, "upload_id": upload_id, "grace": GRACE_SECONDS}
        row = _current(self._database.one(_FIND, parameters), attempt, _UNKNOWN)
        if row["id"] is None:
            raise NotFound(_UNKNOWN)
        return Upload(**{name: value for name, value in row.items() if name not in ("attempt", "forgotten")})

    def commit_upload(self, task: UUID, upload: Upload, uri: str) -> None:
        """Makes a verified upload an artifact; twice is once. NotFound if it was forgotten meanwhile."""
        metadata = {
            "name": upload.name,
            "size": upload.size,
            "contentType": upload.content_type,
            "key": upload.key,
        }
        columns = {"id": task, "upload_id": upload.id, "sha256": upload.sha256, "uri": uri, "metadata": Jsonb(metadata)}
        if self._database.one(_COMMIT, columns) is None:
            raise NotFound(_UNKNOWN)

    def collect(self, age_seconds: float, clear: Callable[[Upload, bool], None]) -> bool:
        """Lets `clear` take away what is left of one upload whose links are that old; False if there is none.

        Nobody can commit the upload meanwhile. `clear` is told whether it became an artifact, which stays; one
        that did not is forgotten.
        """

        def work(cursor: Cursor) -> bool:
            row = cursor.execute(_STALE.encode(), {"age": age_seconds}).fetchone()
            if row is None:
                return False
            upload = Upload(**row)
            identity = {"upload_id": upload.id}
            kept = cursor.execute(_KEPT.encode(), identity).fetchone() is not None
            clear(upload, kept)
            cursor.execute((_CLOSE if kept else _FORGET).encode(), identity)
            return True

        return self._database.transaction(work)


def _current(row: Row | None, attempt: int, unknown: str) -> Row:
    """The row of a task, if `attempt` is the one that may still speak."""
    if row is None:
        raise NotFound(unknown)
    if row["attempt"] != attempt:
        raise Conflict("another attempt of this task has taken over")
    if row["forgotten"]:
        raise Unauthenticated(REFUSED)
    return row


def _columns(task: UUID, upload: Upload) -> dict[str, Any]:
    return {
        "id": task,
        "upload_id": upload.id,
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256,
        "content_type": upload.content_type,
        "key": upload.key,
        "parts": upload.parts,
    }
