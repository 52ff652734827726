-- Messages in Discord that follow a task. A card may be there before its task is accepted.
CREATE TABLE codex_kb.discord_cards (
    task_id UUID PRIMARY KEY,
    guild_id TEXT,
    channel_id TEXT NOT NULL,
    -- Null until Discord has told it.
    message_id TEXT,
    user_id TEXT NOT NULL,
    ephemeral BOOLEAN NOT NULL,
    -- Until when the token of the interaction lives, which is not kept here.
    token_until TIMESTAMPTZ NOT NULL,
    -- The digest of what was last shown.
    shown TEXT NOT NULL DEFAULT '',
    -- The thread, and how many messages of the result are in it.
    thread_id TEXT,
    told INTEGER NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    edited_at TIMESTAMPTZ,
    -- When somebody last looked whether there is anything new; null if it has to be looked at in any case.
    looked_at TIMESTAMPTZ,
    -- Nobody else touches the card before.
    next_edit_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- Edits that failed since the last one that did not.
    tries INTEGER NOT NULL DEFAULT 0,
    ended_at TIMESTAMPTZ,
    ended_why TEXT
);
CREATE INDEX idx_discord_cards_open ON codex_kb.discord_cards (next_edit_at) WHERE ended_at IS NULL;
