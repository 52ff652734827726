-- Uploads in parts, and what was promised and never kept.
ALTER TABLE codex_kb.codex_task_uploads
    -- In how many parts it is sent, 0 for one that is sent whole.
    ADD COLUMN parts SMALLINT NOT NULL DEFAULT 0,
    -- Since when its links were last given out or used; null once nothing more can come of them.
    ADD COLUMN open_since TIMESTAMPTZ DEFAULT now();

UPDATE codex_kb.codex_task_uploads SET open_since = NULL
WHERE id IN (SELECT id FROM codex_kb.artifacts);

CREATE INDEX idx_codex_task_uploads_open ON codex_kb.codex_task_uploads (open_since) WHERE open_since IS NOT NULL;
