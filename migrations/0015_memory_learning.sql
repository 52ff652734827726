-- What was offered to tasks with which odds, what became of them, and what that teaches of each memory.

-- A toss of a memory for a task: what the toss said, and with which probability it says `shown`. Every later row of
-- the two repeats the first. `rank` is the place in the answer, 0 for what did not stand in it: withheld, or too long
-- for the prompt. What was shown before there were tosses was shown surely, and teaches nothing.
ALTER TABLE codex_kb.memory_exposure
    ADD COLUMN propensity DOUBLE PRECISION NOT NULL DEFAULT 1 CHECK (propensity BETWEEN 0 AND 1),
    ADD COLUMN shown BOOLEAN NOT NULL DEFAULT true;

-- A task for which there were memories, from the first time that there were.
CREATE TABLE codex_kb.memory_trials (
    task_id UUID PRIMARY KEY REFERENCES codex_kb.codex_tasks (id) ON DELETE CASCADE,
    -- The scope is tenant and repository; `round` counts how often somebody has switched it on again.
    tenant TEXT NOT NULL,
    repository TEXT NOT NULL,
    round INTEGER NOT NULL,
    -- Stage and kind of the first target.
    topic TEXT NOT NULL,
    -- `all`: there was no trial, and everything was shown. `off`: the scope was switched off.
    arm TEXT NOT NULL CHECK (arm IN ('treated', 'holdout', 'all', 'off')),
    -- The share of tasks that were held out, and the success that was expected, both as they were then.
    share DOUBLE PRECISION NOT NULL,
    base DOUBLE PRECISION NOT NULL,
    decided_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    -- What became of it, NULL until that is known.
    success DOUBLE PRECISION,
    duration_seconds DOUBLE PRECISION,
    cost_usd DOUBLE PRECISION
);
-- What nothing was learned from yet, because the task is not over or nobody heard that it is.
CREATE INDEX idx_memory_trials_unknown ON codex_kb.memory_trials (decided_at) WHERE success IS NULL;

-- Of a memory, over finished tasks: Σ propensity · (1 - propensity), and Σ (shown - propensity) · (success - base).
CREATE TABLE codex_kb.memory_effects (
    memory_id UUID PRIMARY KEY REFERENCES codex_kb.codex_task_memory_index (id) ON DELETE CASCADE,
    information DOUBLE PRECISION NOT NULL,
    credit DOUBLE PRECISION NOT NULL
);

-- Count, sum and sum of squares of each measure over finished tasks, for base rates and for the lift. Durations and
-- costs as logarithms, without those that have none.
CREATE TABLE codex_kb.memory_sums (
    tenant TEXT NOT NULL,
    repository TEXT NOT NULL,
    round INTEGER NOT NULL,
    topic TEXT NOT NULL,
    arm TEXT NOT NULL,
    share DOUBLE PRECISION NOT NULL,
    tasks INTEGER NOT NULL,
    success DOUBLE PRECISION NOT NULL,
    success_squares DOUBLE PRECISION NOT NULL,
    durations INTEGER NOT NULL,
    duration DOUBLE PRECISION NOT NULL,
    duration_squares DOUBLE PRECISION NOT NULL,
    costs INTEGER NOT NULL,
    cost DOUBLE PRECISION NOT NULL,
    cost_squares DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (tenant, repository, round, topic, arm, share)
);

-- Scopes that were ever switched off.
CREATE TABLE codex_kb.memory_scopes (
    tenant TEXT NOT NULL,
    repository TEXT NOT NULL,
    round INTEGER NOT NULL DEFAULT 0,
    -- NULL while it is on.
    off_since TIMESTAMPTZ,
    off_why TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (tenant, repository)
);
