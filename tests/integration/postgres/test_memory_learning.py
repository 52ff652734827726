"""What the database learns is what the simulation learns from the same tasks, whatever odd things they leave."""

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import psycopg
import pytest

from shared.domain.effect import Evidence, Tally, is_held_out
from shared.domain.errors import InFlight
from shared.domain.ids import run_id, stable_id
from shared.domain.lift import Sums
from shared.domain.memory import Memory, Recalled
from shared.domain.memory_index import MemoryRow, Text
from shared.domain.outcome import Judgement
from shared.domain.task import Target
from shared.postgres.database import Database
from shared.postgres.memories import PgMemories
from shared.postgres.memory_learning import PgMemoryLearning
from shared.postgres.memory_models import PgMemoryModels
from shared.postgres.memory_trials import PgMemoryTrials
from tests.integration.postgres.conftest import AcceptTask
from tests.integration.postgres.test_memory_models import until_one_waits
from tests.simulation import world
from tests.simulation.policies import HOLD_OUT, Ours

TASKS = 150
NOW = datetime(2026, 1, 1, tzinfo=UTC)
AN_HOUR_LATER = """
UPDATE codex_kb.codex_tasks SET status = %(status)s, finished_at = now() + interval '1 hour',
    usage = jsonb_build_object('costUsd', %(cost)s::float) WHERE id = %(task)s
"""


@pytest.fixture
def end(database: Database) -> Callable[[UUID, str, float], None]:
    """Ends a task, as time and its container would."""

    def end(task: UUID, status: str, cost: float = 0.0) -> None:
        assert database.do(AN_HOUR_LATER, {"task": task, "status": status, "cost": cost}) == 1

    return end


@pytest.fixture
def library(accept: AcceptTask, database: Database) -> Callable[[UUID], Recalled]:
    """Makes a memory of this id, once, and recalls it."""
    shelf = accept("library").run_id
    memories = PgMemories(database)
    PgMemoryModels(database).in_use("model:2")
    made: dict[UUID, Recalled] = {}

    def recalled(memory: UUID) -> Recalled:
        if memory not in made:
            text = Text(shelf, "prompt", str(memory), str(memory), "default", "", [], [], [])
            memories.store([MemoryRow(memory, text, 0, text.text, memory.bytes, (1.0, 0.0), "model:2")], None, None)
            made[memory] = Recalled(Memory(memory, shelf, "prompt", str(memory), text.text, NOW), 0.5)
        return made[memory]

    return recalled


def test_the_sums_of_the_database_are_those_of_the_simulation(
    accept: AcceptTask,
    database: Database,
    library: Callable[[UUID], Recalled],
    end: Callable[[UUID, str, float], None],
) -> None:
    trials, learning, policy = PgMemoryTrials(database), PgMemoryLearning(database), Ours()
    waiting: deque[tuple[world.Task, world.Outcome]] = deque()
    tossed: set[UUID] = set()
    arms = {False: [Sums(), Sums()], True: [Sums(), Sums()]}
    for number, made in enumerate(world.Tasks(world.PLAIN, 7).take(TASKS)):
        task = replace(made, id=run_id(f"task {number}"))
        kind = Target("v1", f"Kind{task.topic}", "n", "a")
        accept(f"task {number}", repository="o/r", targets=(kind,))
        shown = policy.show(task)
        found = [library(one.id) for one in task.candidates]
        offered = trials.choose(task.id, 1, found, world.PLACES, HOLD_OUT)
        assert [one.memory.id for one in offered.answer] == [one.id for one in shown]
        tossed |= {toss.memory for toss in offered.offer.tosses}
        waiting.append((task, task.outcome(shown)))
        if len(waiting) > world.DELAY:
            ended, outcome = waiting.popleft()
            policy.learn(ended, outcome)
            end(ended.id, "succeeded" if outcome.success else "failed", math.exp(outcome.cost))
            learning.learn(ended.id)
            sums = arms[is_held_out(ended.id, HOLD_OUT)]
            for measure, value in enumerate((outcome.success, outcome.cost)):
                sums[measure] += Sums(1, value, value**2)
    _same(trials, policy, tossed)
    (scope,) = learning.lift()
    (trial,) = scope.trials.values()
    for measure, of in ((0, 0), (2, 1)):
        assert _close(trial.treated[measure], arms[False][of])
        assert _close(trial.held_out[measure], arms[True][of])
    assert trial.treated[1].mean == pytest.approx(math.log(3600), abs=0.1)


def _same(trials: PgMemoryTrials, policy: Ours, tossed: set[UUID]) -> None:
    known = trials.known(run_id("task 0"), [*tossed])
    learned = {memory: one.evidence for memory, one in policy._candidates.items()}
    assert known.scope == policy._scope == Tally(TASKS - world.DELAY, policy._scope.successes)
    assert known.evidence.keys() == learned.keys()
    for memory, evidence in learned.items():
        assert _approximately(known.evidence[memory]) == _approximately(evidence)


def _approximately(evidence: Evidence) -> tuple[object, object]:
    return round(evidence.information, 9), round(evidence.credit, 9)


def _close(found: Sums, expected: Sums) -> bool:
    return found.count == expected.count and all(
        math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
        for one, other in ((found.total, expected.total), (found.squares, expected.squares))
    )


@pytest.fixture
def offered(accept: AcceptTask, library: Callable[[UUID], Recalled], database: Database) -> UUID:
    """A task that was offered a memory."""
    name = next(f"offered {number}" for number in range(99) if not is_held_out(run_id(f"offered {number}"), 0.1))
    task = accept(name).run_id
    PgMemoryTrials(database).choose(task, 1, [library(uuid4())], 5, 0.1)
    return task


GATE = """
INSERT INTO codex_kb.policy_checks (id, idea_id, task_run_id, policy_key, status)
SELECT gen_random_uuid(), tasks.idea_id, task_runs.id, 'gate', %(status)s
FROM codex_kb.task_runs JOIN codex_kb.tasks ON tasks.id = task_runs.task_id WHERE task_runs.id = %(task)s
"""
UNDONE = "INSERT INTO codex_kb.run_events (task_run_id, event_type) VALUES (%(task)s, 'undone')"


@pytest.mark.parametrize(
    ("statement", "status", "successes"),
    [(GATE, "allowed", 1.0), (GATE, "failed", 0.0), (GATE, "denied", 0.0), (UNDONE, "", 0.0)],
    ids=["allowed", "failed", "denied", "undone"],
)
def test_a_gate_that_failed_and_what_was_undone_are_no_success(
    offered: UUID,
    database: Database,
    end: Callable[[UUID, str], None],
    statement: str,
    status: str,
    successes: float,
) -> None:
    trials, learning = PgMemoryTrials(database), PgMemoryLearning(database)
    end(offered, "succeeded")
    learning.learn(offered)
    assert trials.known(offered, []).scope == Tally(1, 1.0)
    database.do(statement, {"task": offered, "status": status})
    learning.learn(offered)
    assert trials.known(offered, []).scope == Tally(1, successes)
    learning.judge(offered, "default", "alice", Judgement.GOOD, "")
    assert trials.known(offered, []).scope == Tally(1, 1.0)


def test_a_cost_beyond_any_number_is_no_obstacle(
    offered: UUID, database: Database, end: Callable[[UUID, str], None]
) -> None:
    end(offered, "succeeded")
    for cost in ("1e400", '"much"', "-1", "null"):
        statement = (
            "UPDATE codex_kb.codex_tasks SET usage = jsonb_build_object('costUsd', %(cost)s::jsonb) WHERE id = %(task)s"
        )
        database.do(statement, {"task": offered, "cost": cost})
        PgMemoryLearning(database).learn(offered)
    assert PgMemoryTrials(database).known(offered, []).scope == Tally(1, 1.0)


def test_a_memory_that_was_forgotten_meanwhile_is_not_shown_and_is_no_obstacle(
    accept: AcceptTask, library: Callable[[UUID], Recalled], database: Database, end: Callable[[UUID, str], None]
) -> None:
    kept, gone = library(uuid4()), library(uuid4())
    database.do("DELETE FROM codex_kb.codex_task_memory_index WHERE id = %(id)s", {"id": gone.memory.id})
    task = accept("asks").run_id
    with pytest.raises(InFlight, match="forgotten"):
        PgMemoryTrials(database).choose(task, 1, [gone, kept], 5, 0)
    assert PgMemoryTrials(database).choose(task, 1, [kept], 5, 0).answer == [kept]
    noted = database.all("SELECT memory_id FROM codex_kb.memory_exposure", {})
    assert [row["memory_id"] for row in noted] == [kept.memory.id]
    end(task, "succeeded")
    PgMemoryLearning(database).learn(task)


def test_a_memory_that_is_being_forgotten_while_an_outcome_is_learned_is_no_obstacle(
    accept: AcceptTask,
    library: Callable[[UUID], Recalled],
    database: Database,
    dsn: str,
    end: Callable[[UUID, str], None],
) -> None:
    kept, gone = library(uuid4()), library(uuid4())
    name = next(f"asks {number}" for number in range(99) if not is_held_out(run_id(f"asks {number}"), 0.1))
    task, trials = accept(name).run_id, PgMemoryTrials(database)
    trials.choose(task, 1, [kept, gone], 5, 0.1)
    end(task, "succeeded")
    with ThreadPoolExecutor() as threads:
        with psycopg.connect(dsn) as other:
            other.execute("DELETE FROM codex_kb.codex_task_memory_index WHERE id = %s", [gone.memory.id])
            learning = threads.submit(PgMemoryLearning(database).learn, task)
            until_one_waits(database, "transactionid")
        learning.result()
    known = trials.known(task, [kept.memory.id, gone.memory.id])
    assert (known.scope.count, set(known.evidence)) == (1, {kept.memory.id})


def test_one_outcome_that_cannot_be_learned_from_yet_does_not_hold_up_the_others(
    accept: AcceptTask,
    library: Callable[[UUID], Recalled],
    database: Database,
    hasty: Database,
    dsn: str,
    end: Callable[[UUID, str], None],
) -> None:
    trials, learning = PgMemoryTrials(database), PgMemoryLearning(hasty)
    held, free = (accept(name, repository=name).run_id for name in ("held", "free"))
    for task in (held, free):
        trials.choose(task, 1, [library(uuid4())], 5, 0.1)
        end(task, "succeeded")
    with psycopg.connect(dsn) as other:
        other.execute("SELECT FROM codex_kb.memory_trials WHERE task_id = %s FOR UPDATE", [held])
        learning.catch_up(older_than=-7200)
        assert [trials.known(task, []).scope.count for task in (held, free)] == [0, 1]
    learning.catch_up(older_than=-7200)
    assert trials.known(held, []).scope.count == 1


def test_what_was_offered_is_noted_with_odds_rank_and_score(
    accept: AcceptTask, library: Callable[[UUID], Recalled], database: Database
) -> None:
    # Ids decide the tosses: with these some are shown, and some are not.
    found = [library(stable_id("memory", str(number))) for number in range(6)]
    name = next(f"asks {number}" for number in range(99) if not is_held_out(run_id(f"asks {number}"), 0.5))
    task = accept(name).run_id
    for attempt in (1, 1, 2):
        offered = PgMemoryTrials(database).choose(task, attempt, found, 6, 0.5)
    rows = database.all("SELECT * FROM codex_kb.memory_exposure ORDER BY attempt", {})
    assert len(rows) == 12
    ranks = {one.memory.id: rank for rank, one in enumerate(offered.answer, 1)}
    assert 0 < len(ranks) < 6
    for row in rows:
        assert (row["channel"], row["score"], row["propensity"]) == ("query", 0.5, 0.5)
        assert (row["shown"], row["rank"]) == (row["memory_id"] in ranks, ranks.get(row["memory_id"], 0))
