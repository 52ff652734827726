"""A check judges facts; one that cannot, or breaks, is told and hides no other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Judge = Callable[..., Iterable["Found"]]


class NotLooked(Exception):
    """A check cannot judge; the message says why. `wanted`: it could, if somebody granted or mended something."""

    def __init__(self, why: str, wanted: bool = True) -> None:
        super().__init__(why)
        self.wanted = wanted


@dataclass(frozen=True, slots=True)
class Found:
    """Something that is wrong, and the command or the lines that mend it."""

    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class Unseen:
    """A part that was not looked at, and why. `wanted`: somebody asked for it."""

    why: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Check:
    """Judges the parts that it needs. `why` says what comes of it if nothing is done."""

    name: str
    needs: tuple[str, ...]
    why: str
    judge: Judge


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check has found."""

    check: str
    what: str
    why: str
    fix: str


@dataclass(frozen=True, slots=True)
class NotJudged:
    """Checks that did not look, and why."""

    checks: tuple[str, ...]
    why: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Report:
    """What all checks have found, and what was not looked at; `looked` is how many checks were made."""

    looked: int
    findings: tuple[Finding, ...]
    not_looked: tuple[NotJudged, ...]

    @property
    def exit_code(self) -> int:
        """0: all that was asked for is well; 1: something was found; 2: something could not be looked at."""
        if self.findings:
            return 1
        return 2 if not self.looked or any(each.wanted for each in self.not_looked) else 0


def check(name: str, *needs: str, why: str) -> Callable[[Judge], Check]:
    """Makes a check of a function that is given the parts it needs, in this order."""
    return lambda judge: Check(name, needs, why, judge)


def of_modules(*modules: Any) -> tuple[Check, ...]:
    """Every check that these modules define, in their order."""
    return tuple(value for module in modules for value in vars(module).values() if isinstance(value, Check))


def examine(checks: Sequence[Check], parts: Mapping[str, object]) -> Report:
    """The report of all checks on these parts; a part that is missing or `Unseen` is not looked at."""
    looked, findings = 0, list[Finding]()
    missed: dict[tuple[str, bool], list[str]] = {}
    for each in checks:
        unseen = [part for need in each.needs if isinstance(part := _part(parts, need), Unseen)]
        if unseen:
            for part in unseen[:1]:
                missed.setdefault((part.why, part.wanted), []).append(each.name)
            continue
        try:
            found = list(each.judge(*(parts[need] for need in each.needs)))
        except NotLooked as why:
            missed.setdefault((str(why), why.wanted), []).append(each.name)
        except Exception as error:  # noqa: BLE001  # one that breaks must not hide the others
            missed.setdefault((f"the check broke ({type(error).__name__})", True), []).append(each.name)
        else:
            looked += 1
            findings += [Finding(each.name, one.what, each.why, one.fix) for one in found]
    told = tuple(NotJudged(tuple(names), why, wanted) for (why, wanted), names in missed.items())
    return Report(looked, tuple(findings), told)


def _part(parts: Mapping[str, object], need: str) -> object:
    return parts.get(need, Unseen(f"{need} was not looked at", wanted=False))
