"""Who may have what launched: rules of a policy, judged before anything is. What no rule allows is denied."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from shared.domain.job import JobPhase
from shared.domain.task import Run, Target

RETRYABLE = (JobPhase.EVICTED, JobPhase.LOST, JobPhase.UNSTARTED, JobPhase.STOPPED)


@dataclass(frozen=True, slots=True)
class Rule:
    """What some callers may have. Every list holds globs; one that begins with `!` denies, whatever the others say.

    `kinds` are `Kind` of the core group or `group/Kind`; `cluster_kinds` the same for objects without a
    namespace. `attempts` is how often a task may be launched, again only after an end that is in `retry_on`.
    """

    name: str
    callers: Sequence[str]
    modes: Sequence[str]
    namespaces: Sequence[str] = ()
    kinds: Sequence[str] = ()
    cluster_kinds: Sequence[str] = ()
    images: Sequence[str] = ()
    service_accounts: Sequence[str] = ()
    attempts: int = 1
    retry_on: Sequence[JobPhase] = (JobPhase.EVICTED, JobPhase.LOST)

    def objections(self, run: Run, image: str, service_account: str) -> Iterator[str]:
        """What the rule does not allow of a run, in words."""
        if not allows(self.modes, run.mode):
            yield f"mode {run.mode}"
        if image and not allows(self.images, image):
            yield f"image {image}"
        if service_account and not allows(self.service_accounts, service_account):
            yield f"service account {service_account}"
        for target in run.targets:
            yield from self._about(target)

    def _about(self, target: Target) -> Iterator[str]:
        group = target.api_version.rpartition("/")[0]
        kind = f"{group}/{target.kind}" if group else target.kind
        if not target.namespace:
            if not allows(self.cluster_kinds, kind):
                yield f"kind {kind} without a namespace"
            return
        if not allows(self.namespaces, target.namespace):
            yield f"namespace {target.namespace}"
        if not allows(self.kinds, kind):
            yield f"kind {kind}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a run may be launched, by which rule, and why not. `version` names the policy that said so."""

    allowed: bool
    rule: str
    reason: str
    version: str
    attempts: int = 1
    retry_on: Sequence[JobPhase] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in their order; `version` is the hash of the file that they stand in."""

    rules: Sequence[Rule]
    version: str

    def judge(self, run: Run, image: str, service_account: str) -> Verdict:
        """The first rule that names the caller and objects to nothing; else the first objection, else `default`."""
        denial = Verdict(False, "default", f"no rule names the caller {run.caller}", self.version)
        for rule in self.rules:
            if not allows(rule.callers, run.caller):
                continue
            objection = next(rule.objections(run, image, service_account), None)
            if objection is None:
                return Verdict(True, rule.name, "", self.version, rule.attempts, tuple(rule.retry_on))
            if denial.rule == "default":
                denial = Verdict(False, rule.name, f"it does not allow {objection}", self.version)
        return denial


def allows(globs: Sequence[str], name: str) -> bool:
    """Whether some glob matches the name, and none that begins with `!` does."""
    denied = any(fnmatchcase(name, glob[1:]) for glob in globs if glob.startswith("!"))
    return not denied and any(fnmatchcase(name, glob) for glob in globs if not glob.startswith("!"))
