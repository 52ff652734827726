-- Reports of containers: what was heard last, and up to where nothing is missing.
ALTER TABLE codex_kb.codex_tasks
    ADD COLUMN last_report_at TIMESTAMPTZ,
    -- Every event of `reported_attempt` up to this sequence number is stored: gaps are looked for behind it.
    ADD COLUMN reported_attempt INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN reported_through INTEGER NOT NULL DEFAULT 0;

-- Every report updates its task's row: with room on the page, and no index over what changes, that is cheap.
ALTER TABLE codex_kb.codex_tasks SET (fillfactor = 80);
