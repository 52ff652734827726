"""The policy file: YAML, rules in their order. Functions read it anew whenever it has changed."""

import hashlib
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from shared import yaml_document
from shared.domain.job import JobPhase
from shared.domain.policy import RETRYABLE, Policy, Rule
from shared.domain.task import Mode
from shared.watched_file import read_text

_LISTS = {
    "callers": "callers",
    "modes": "modes",
    "namespaces": "namespaces",
    "kinds": "kinds",
    "clusterKinds": "cluster_kinds",
    "images": "images",
    "serviceAccounts": "service_accounts",
}
_KNOWN = {"name", *_LISTS, "attempts", "retryOn"}
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_MAX_ATTEMPTS = 10


def read(path: Path) -> Policy:
    """The policy; ValueError names every mistake, in a sentence that follows "it"."""
    # Read once: the version is of what was judged, also if the file is replaced meanwhile.
    text = read_text(path)
    document, mistakes = yaml_document.parse(text)
    mistakes += [f"{key} is not a known key" for key in document if key != "rules"]
    given = document.get("rules")
    if not isinstance(given, list):
        mistakes.append("rules must be a list: [] denies everything")
        given = []
    rules = [_rule(each, f"rules.{place}", mistakes) for place, each in enumerate(given)]
    names = [rule.name for rule in rules if _NAME.fullmatch(rule.name)]
    mistakes += [
        f"the name {name} is there twice" for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if mistakes:
        raise ValueError("is wrong: " + "; ".join(mistakes))
    return Policy(rules, hashlib.sha256(text.encode()).hexdigest()[:16])


def _rule(given: Any, place: str, mistakes: list[str]) -> Rule:
    if not isinstance(given, dict):
        mistakes.append(f"{place} must be a map")
        return Rule("", (), ())
    mistakes += [f"{place}.{key} is not a known key" for key in given if key not in _KNOWN]
    name = given.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name == "default":
        mistakes.append(f"{place}.name must be a DNS label, and not default")
    for needed in ("callers", "modes"):
        if not given.get(needed):
            mistakes.append(f"{place}.{needed} must name at least one")
    globs: dict[str, Any] = {field: _globs(given, key, place, mistakes) for key, field in _LISTS.items()}
    if not all(any(fnmatchcase(mode, glob.removeprefix("!")) for mode in Mode) for glob in globs["modes"]):
        mistakes.append(f"{place}.modes must be among {', '.join(Mode)}, or *")
    return Rule(name if isinstance(name, str) else "", **globs, **_retries(given, place, mistakes))


def _globs(given: Mapping[str, Any], key: str, place: str, mistakes: list[str]) -> tuple[str, ...]:
    value = given.get(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(glob, str) and glob.strip("!") for glob in value):
        mistakes.append(f"{place}.{key} must be a list of names, in which * stands for anything")
        return ()
    return tuple(value)


def _retries(given: Mapping[str, Any], place: str, mistakes: list[str]) -> dict[str, Any]:
    attempts, causes = given.get("attempts"), given.get("retryOn")
    attempts = "1" if attempts is None else attempts
    found: dict[str, Any] = {}
    if (
        not isinstance(attempts, str)
        or not re.fullmatch("[0-9]{1,2}", attempts)
        or not 1 <= int(attempts) <= _MAX_ATTEMPTS
    ):
        mistakes.append(f"{place}.attempts must be a number from 1 to {_MAX_ATTEMPTS}")
    else:
        found["attempts"] = int(attempts)
    if causes is not None:
        if not isinstance(causes, list) or not all(cause in RETRYABLE for cause in causes):
            mistakes.append(f"{place}.retryOn must be a list of {', '.join(RETRYABLE)}")
        else:
            found["retry_on"] = tuple(JobPhase(cause) for cause in causes)
    return found
