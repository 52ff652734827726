"""Which texts of a task are remembered, where each comes from, and who wrote it.

`trust` is `caller` (who asked for the task), `cluster` (what the dispatcher saw in it, and what was made of that) or
`agent` (whatever a container said, or may have said).
"""

# What an event of a container says that is worth it: its messages, and what has failed. Not the steps in between, not
# what went well, and no short words such as "reading".
_TELLING = """CASE
    WHEN jsonb_typeof(content) = 'string' THEN CASE WHEN length(content #>> '{}') >= 40 THEN content #>> '{}' END
    WHEN content->>'kind' = 'message' THEN CASE WHEN length(content->>'text') >= 40 THEN content->>'text' END
    WHEN content->>'kind' = 'error' THEN 'error: ' || (content->>'message')
    WHEN content->>'kind' = 'command' AND (content->>'status' = 'failed' OR content->>'exitCode' <> '0')
        THEN concat('failed', ' with exit code ' || (content->>'exitCode'), ': ', content->>'command',
            E'\\n' || (content->>'output'))
    WHEN content->>'kind' = 'tool' AND content->>'error' <> ''
        THEN concat('failed: ', content->>'server', ' ', content->>'tool', E'\\n', content->>'error')
END"""

_FINAL = """(
    SELECT content #>> '{}' AS text FROM codex_kb.codex_task_events AS event
    WHERE event.task_id = task.id AND event.attempt = task.attempt AND event.event_type = 'completed'
        AND task.status = 'succeeded'
    ORDER BY sequence DESC LIMIT 1)"""

# The last of them, in their order, each once; of a long one its beginning and its end. They were redacted when they
# came: what is cut here can hide no credential from that. What is the result, or the reason, is told as such.
_EVENTS = f"""(
    SELECT string_agg(CASE WHEN length(text) > 3000 THEN left(text, 1500) || E'\\n…\\n' || right(text, 1500)
        ELSE text END, E'\\n\\n' ORDER BY sequence) AS text
    FROM (
        SELECT text, max(sequence) AS sequence FROM (
            SELECT sequence, {_TELLING} AS text FROM (
                SELECT sequence, content FROM codex_kb.codex_task_events AS event
                WHERE event.task_id = task.id AND event.attempt = task.attempt AND event.event_type = 'progress'
                ORDER BY sequence DESC LIMIT 500
            ) AS latest OFFSET 0
        ) AS said
        WHERE text NOT IN (task.reason, 'error: ' || task.reason) AND text IS DISTINCT FROM {_FINAL}
        GROUP BY text ORDER BY max(sequence) DESC LIMIT 20
    ) AS telling)"""  # noqa: S608  # the only things put in are the constants above

# Status, reason, and how much work it was.
_OUTCOME = """concat(status, ': ' || nullif(reason, ''), ' (attempt ', attempt, ', ',
    round(extract(epoch FROM finished_at - coalesce(launched_at, created_at))), ' s)')"""

# What is a column somewhere: whether there is a text is seen without making it. Every task that is over has an
# outcome. Of `change-shape` the text is the difference: the embedder makes its shape.
PLAIN_SOURCES = f"""
    SELECT id AS task_id, 'prompt' AS kind, 'prompt' AS source_ref, prompt AS text, 'caller' AS trust,
        NULL::int AS attempt
    FROM codex_kb.codex_tasks
    UNION ALL
    SELECT task_id, 'snapshot-' || type, id::text, content, taken_by, attempt FROM codex_kb.codex_task_snapshots
    UNION ALL
    SELECT task_id, 'change', id::text, diff, 'cluster', attempt FROM codex_kb.codex_task_snapshots
    UNION ALL
    SELECT task_id, 'change-shape', id::text, diff, 'cluster', attempt FROM codex_kb.codex_task_snapshots
    UNION ALL
    SELECT id, 'outcome', 'attempt ' || attempt, {_OUTCOME}, 'agent', attempt
    FROM codex_kb.codex_tasks WHERE finished_at IS NOT NULL
"""  # noqa: S608  # the only things put in are the constants above

# Every text of a task that should have a vector. Events are told once the task is over, so that they are told once.
SOURCES = f"""{PLAIN_SOURCES}
    UNION ALL
    SELECT id, 'events', 'attempt ' || attempt, events.text, 'agent', attempt
    FROM codex_kb.codex_tasks AS task CROSS JOIN LATERAL {_EVENTS} AS events WHERE finished_at IS NOT NULL
    UNION ALL
    SELECT id, 'final-message', 'attempt ' || attempt, final.text, 'agent', attempt
    FROM codex_kb.codex_tasks AS task CROSS JOIN LATERAL {_FINAL} AS final WHERE finished_at IS NOT NULL
"""  # noqa: S608  # the only things put in are the constants above
