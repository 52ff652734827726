-- Events that are committed and not yet published, deliveries already acted on, and events nobody could handle.
CREATE TABLE codex_kb.outbox (
    id UUID PRIMARY KEY,
    event TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX idx_outbox_created ON codex_kb.outbox (created_at);

CREATE TABLE codex_kb.inbox (
    consumer TEXT NOT NULL,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, source, event_id)
);

CREATE TABLE codex_kb.dead_letters (
    id UUID PRIMARY KEY,
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    destination TEXT NOT NULL,
    error_code TEXT,
    error_data TEXT,
    times_seen INTEGER NOT NULL DEFAULT 1,
    event TEXT NOT NULL,
    first_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    last_seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    CONSTRAINT dead_letters_unique UNIQUE (source, event_id, destination)
);
