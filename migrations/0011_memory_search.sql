-- One bit a dimension, in the row itself: near vectors are found by it, and a vector is read only to be compared.
ALTER TABLE codex_kb.codex_task_memory_index
    ADD COLUMN sketch BIT VARYING GENERATED ALWAYS AS (binary_quantize(embedding)) STORED,
    ALTER COLUMN sketch SET STORAGE MAIN;

-- What narrows a search. The index of the sketches is made for each model that is in use, once it has rows enough:
-- shared/postgres/memory_indexes.py.
CREATE INDEX idx_codex_task_memory_about ON codex_kb.codex_task_memory_index
    USING gin (namespaces, resource_kinds, tags);
CREATE INDEX idx_codex_task_memory_repository ON codex_kb.codex_task_memory_index (tenant, repository);
CREATE INDEX idx_codex_task_memory_kind ON codex_kb.codex_task_memory_index (tenant, kind);
CREATE INDEX idx_codex_task_memory_age ON codex_kb.codex_task_memory_index (tenant, created_at);
