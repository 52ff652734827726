-- Dead letters may be sent again: how often, when, and what became of it. A letter that the function
-- itself keeps has its cause in words.
ALTER TABLE codex_kb.dead_letters
    ADD COLUMN state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'redriven')),
    ADD COLUMN reason TEXT,
    ADD COLUMN times_redriven INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN redriven_at TIMESTAMPTZ,
    -- The id is made of the same three; an index over what senders chose cannot hold a long one.
    DROP CONSTRAINT dead_letters_unique;
CREATE INDEX idx_dead_letters_last_seen ON codex_kb.dead_letters (last_seen_at);
