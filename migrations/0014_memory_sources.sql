-- Who took a snapshot: the dispatcher in the cluster, or a container that reported it.
ALTER TABLE codex_kb.codex_task_snapshots
    ADD COLUMN taken_by TEXT NOT NULL DEFAULT 'agent' CHECK (taken_by IN ('cluster', 'agent'));
UPDATE codex_kb.codex_task_snapshots AS snapshot SET taken_by = 'cluster'
WHERE EXISTS (SELECT FROM codex_kb.run_events AS told
    WHERE told.task_run_id = snapshot.task_id AND told.event_type = 'snapshot ' || snapshot.type
        AND told.payload->>'digest' = snapshot.digest AND told.payload->>'attempt' = snapshot.attempt::text);

-- Who wrote a text, the least trusted where that is not known, and of which attempt it is, where it is of one.
ALTER TABLE codex_kb.codex_task_memory_index
    ADD COLUMN trust TEXT NOT NULL DEFAULT 'agent' CHECK (trust IN ('caller', 'cluster', 'agent')),
    ADD COLUMN attempt INTEGER;
UPDATE codex_kb.codex_task_memory_index AS memory
SET trust = CASE WHEN kind = 'prompt' THEN 'caller' ELSE 'cluster' END
WHERE kind IN ('prompt', 'change') OR EXISTS (SELECT FROM codex_kb.codex_task_snapshots AS snapshot
    WHERE snapshot.id::text = memory.source_ref AND snapshot.task_id = memory.task_id AND taken_by = 'cluster');

-- Until now the outcome of a success was its final message.
UPDATE codex_kb.codex_task_memory_index AS memory SET kind = 'final-message'
WHERE kind = 'outcome' AND EXISTS (SELECT FROM codex_kb.codex_tasks AS task
    WHERE task.id = memory.task_id AND task.status = 'succeeded' AND task.result <> '');
