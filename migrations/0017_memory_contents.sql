-- The youngest memories of a tenant that have a content: thousands of tasks may leave the same one.
CREATE INDEX idx_codex_task_memory_content_age
    ON codex_kb.codex_task_memory_index (content_hash, tenant, created_at);
DROP INDEX codex_kb.idx_codex_task_memory_content;
