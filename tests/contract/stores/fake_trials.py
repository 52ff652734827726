"""Offers and outcomes in memory: everything is summed up anew from the log whenever it is asked for."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from uuid import UUID

from shared.domain.effect import Evidence, Tally, learned
from shared.domain.lift import Sums
from shared.domain.memory import Recalled
from shared.domain.offer import Arm, Offered, Standing, offer
from shared.domain.outcome import Judgement, Outcome, success
from shared.domain.scope_lift import Arms, ScopeLift
from tests.contract.stores.fakes import Kept, Trial, World

_NOTHING = (Sums(), Sums(), Sums())


def note(world: World, task: UUID, attempt: int, channel: str, offered: Offered) -> None:
    kept, decided = world.tasks[task], offered.offer
    scope = _scope(kept)
    first = Trial(scope, _switch(world, scope)[0], _topic(kept), decided.arm, decided.share, decided.base)
    trial = world.trials.setdefault(task, first)
    for toss in decided.tosses:
        trial.tosses.setdefault(toss.memory, toss)
        trial.in_time |= set() if kept.run.status.final else {toss.memory}
    for recalled in offered.answer:
        if (attempt, channel, recalled.memory.id) not in kept.shown:
            kept.shown.append((attempt, channel, recalled.memory.id))
            kept.tell("memory shown", channel=channel, memoryId=str(recalled.memory.id))


@dataclass
class FakeTrials:
    world: World

    def known(self, task: UUID, memories: Sequence[UUID]) -> Standing:
        trial = self.world.trials.get(task)
        scope, topic = _scope(self.world.tasks[task]), _topic(self.world.tasks[task])
        return Standing(
            off=_switch(self.world, scope)[1] is not None,
            arm=trial.arm if trial else None,
            share=trial.share if trial else None,
            topic=self._tally(lambda one: (one.scope, one.topic) == (scope, topic)),
            scope=self._tally(lambda one: one.scope == scope),
            evidence={memory: self._evidence(memory) for memory in memories},
            tosses=trial.tosses if trial else {},
        )

    def choose(self, task: UUID, attempt: int, found: Sequence[Recalled], places: int, share: float) -> Offered:
        memories = [one.memory.id for one in found]
        decided = offer(task, memories, places, share, self.known(task, memories))
        offered = Offered(decided, found, [one for one in found if one.memory.id in decided.shown])
        if found:
            note(self.world, task, attempt, "query", offered)
        return offered

    def _tally(self, counts: Callable[[Trial], bool]) -> Tally:
        known = [one.outcome.success for one in self.world.trials.values() if one.outcome and counts(one)]
        return Tally(len(known), sum(known))

    def _evidence(self, memory: UUID) -> Evidence:
        told = [
            learned(one.tosses[memory], one.outcome.success, one.base)
            for one in self.world.trials.values()
            if one.outcome and memory in one.in_time
        ]
        return sum(told, Evidence())


@dataclass
class FakeLearning:
    world: World

    def learn(self, task: UUID) -> None:
        kept, trial = self.world.tasks[task], self.world.trials.get(task)
        if trial is None or kept.ended_at is None or trial.began > kept.ended_at:
            return
        value = success(kept.run.status, failed_gate=False, undone=False, verdict=kept.verdict)
        took = kept.ended_at - trial.began
        trial.outcome = Outcome(value, took, kept.usage.get("costUsd"))
        round_, off, _ = _switch(self.world, trial.scope)
        (scope,) = self.lift(*trial.scope)
        if off is None and (why := scope.why_harmful):
            self.world.switches[trial.scope] = round_, datetime.now(UTC), why

    def catch_up(self, limit: int = 500, older_than: float = 60.0) -> None:
        late = [
            task
            for task, trial in self.world.trials.items()
            if trial.outcome is None and time.monotonic() - (self.world.tasks[task].ended_at or inf) >= older_than
        ]
        for task in late[:limit]:
            self.learn(task)

    def judge(self, task: UUID, tenant: str, by: str, verdict: Judgement, note: str) -> bool:
        kept = self.world.tasks.get(task)
        if kept is None or kept.run.tenant != tenant:
            return False
        told = {"caller": by, "verdict": verdict.value, **({"note": note} if note else {})}
        if told != next((entry.detail for entry in reversed(kept.story) if entry.what == "verdict"), None):
            kept.tell("verdict", **told)
        kept.verdict = verdict
        self.learn(task)
        return True

    def lift(self, tenant: str | None = None, repository: str | None = None) -> list[ScopeLift]:
        scopes = {one.scope for one in self.world.trials.values() if one.outcome} | self.world.switches.keys()
        wanted = [scope for scope in sorted(scopes) if tenant in (None, scope[0]) and repository in (None, scope[1])]
        return [self._lift(scope) for scope in wanted]

    def _lift(self, scope: tuple[str, str]) -> ScopeLift:
        round_, off, why = _switch(self.world, scope)
        sums: dict[float, dict[Arm, tuple[Sums, ...]]] = defaultdict(lambda: defaultdict(lambda: _NOTHING))
        for one in self.world.trials.values():
            if one.scope == scope and one.round == round_ and one.outcome and one.arm in (Arm.TREATED, Arm.HELD_OUT):
                each = zip(sums[one.share][one.arm], one.outcome.sums, strict=True)
                sums[one.share][one.arm] = tuple(total + more for total, more in each)
        trials = {
            share: Arms(treated=(*arms[Arm.TREATED],), held_out=(*arms[Arm.HELD_OUT],))  # type: ignore[arg-type]
            for share, arms in sums.items()
        }
        return ScopeLift(*scope, trials, off, why)

    def switch_on(self, name: str) -> bool:
        for scope, (round_, off, _) in self.world.switches.items():
            if off is not None and ":".join(scope) == name:
                self.world.switches[scope] = round_ + 1, None, ""
                return True
        return False


def _scope(kept: Kept) -> tuple[str, str]:
    return kept.run.tenant, kept.run.repository


def _topic(kept: Kept) -> str:
    return f"{kept.run.stage} {kept.run.targets[0].kind if kept.run.targets else ''}"


def _switch(world: World, scope: tuple[str, str]) -> tuple[int, datetime | None, str]:
    return world.switches.get(scope, (0, None, ""))
