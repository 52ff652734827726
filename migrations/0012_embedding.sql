-- A text that the model of this name refuses for ever: it is not sent to it again.
ALTER TABLE codex_kb.codex_task_memory_index ADD COLUMN refused_by TEXT;
-- The vector of an equal text is copied, not made again.
CREATE INDEX idx_codex_task_memory_content ON codex_kb.codex_task_memory_index (content_hash) WHERE embedding IS NOT NULL;
