"""Settings: of each function by itself, and of functions together."""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import product
from urllib.parse import urlsplit

from shared.doctor.checks import Found, check
from shared.doctor.cluster import Cluster, name
from shared.doctor.deployed import TO_BE_BOUND, Deployed
from shared.domain.cluster import Object
from shared.domain.condition import Address, Function

_URLS = ("FACTEUR_CALLBACK_URL", "FACTEUR_MEMORY_URL")
_PUBLIC = "FACTEUR_PUBLIC_URL"
_SECRET, _PREVIOUS = "FACTEUR_TOKEN_SECRET", "FACTEUR_TOKEN_SECRET_PREVIOUS"
_NEW_SECRET = "make one with `openssl rand -hex 32` and give it to every function as FACTEUR_TOKEN_SECRET"  # noqa: S105
_FEW_LETTERS = 8
# A Service by its whole name, of a cluster with a domain of its own.
_IN_CLUSTER = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+\.svc\..+")
# No task runs for so long.
_LEFT_SECONDS = 7 * 86_400


@check("settings-wrong", "settings", why="The function does not start.")
def settings_wrong(settings: Sequence[Function]) -> Iterator[Found]:
    told: dict[str, list[str]] = {}
    for each in settings:
        for mistake in each.mistakes:
            told.setdefault(mistake, []).append(each.name)
    for mistake, functions in told.items():
        yield Found(
            f"{', '.join(dict.fromkeys(functions))}: {mistake}",
            "set it as docs/configuration.md says; `facteur config check` names what is wrong before a start",
        )


@check("token-secret-differs", "settings", why="One function refuses the tokens that another has made.")
def token_secret_differs(settings: Sequence[Function]) -> Iterator[Found]:
    for group in _together(settings):
        secrets = {each.settings[_SECRET] for each in group if each.settings.get(_SECRET)}
        odd = sorted(each.name for each in group if each.settings.get(_SECRET) and not secrets <= _accepted(each))
        if odd:
            yield Found(
                "FACTEUR_TOKEN_SECRET is not the same everywhere, and not known as the previous one to "
                + ", ".join(odd),
                "take it for all functions from the one Secret facteur-secrets; while it changes, give the old one to "
                "all as FACTEUR_TOKEN_SECRET_PREVIOUS",
            )


def _accepted(function: Function) -> set[str]:
    return {function.settings.get(_SECRET, ""), function.settings.get(_PREVIOUS, "")}


def _together(settings: Sequence[Function]) -> list[list[Function]]:
    """Those of here and those of a cluster, each by themselves: they may be of two installs."""
    return [[each for each in settings if each.deployed is place] for place in (False, True)]


@check("token-secret-weak", "settings", why="Whoever guesses it reports as any task, and reads its memory.")
def token_secret_weak(settings: Sequence[Function]) -> Iterator[Found]:
    weak = sorted({each.name for each in settings if 0 < len(set(each.settings.get(_SECRET, ""))) < _FEW_LETTERS})
    if weak:
        yield Found(f"FACTEUR_TOKEN_SECRET of {', '.join(weak)} repeats a few letters", _NEW_SECRET)


@check("token-secret-not-changed", "settings", why="The change of the secret that somebody wanted has not happened.")
def token_secret_not_changed(settings: Sequence[Function]) -> Iterator[Found]:
    same = sorted({each.name for each in settings if each.settings.get(_SECRET) and len(_accepted(each)) == 1})
    if same:
        yield Found(f"the secret and the previous one are equal for {', '.join(same)}", _NEW_SECRET)


@check("url-in-clear", "settings", why="Tokens travel in clear through networks that are not yours.")
def url_in_clear(settings: Sequence[Function]) -> Iterator[Found]:
    for variable in (*_URLS, _PUBLIC):
        for url in sorted({each.settings.get(variable, "") for each in settings} - {""}):
            asked = urlsplit(url)
            if asked.scheme == "http" and not _inside(asked.hostname or ""):
                yield Found(
                    f"{variable} is http://, and leads out of the cluster", f"let {variable} begin with https://"
                )


def _inside(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        known = host.endswith((".svc", ".local", ".test", ".internal"))
        return "." not in host or known or _IN_CLUSTER.fullmatch(host) is not None


@check("url-unreachable", "addresses", why="Containers cannot report, or events cannot be said.")
def url_unreachable(addresses: Sequence[Address]) -> Iterator[Found]:
    for each in addresses:
        if not each.listens:
            yield Found(
                f"nobody listens at {each.place}, where {each.variable} leads to",
                f"start what should be there, or let {each.variable} lead to where it is; see what is between with: "
                f"curl -v telnet://{each.place}",
            )


@check("token-secret-previous-left", "cluster", why="Whoever got hold of the old secret may still use it.")
def token_secret_previous_left(cluster: Cluster) -> Iterator[Found]:
    for secret in cluster.all("Secret"):
        written = _written(secret, _PREVIOUS) if (secret.get("data") or {}).get(_PREVIOUS) else None
        if written is not None and cluster.now - written > _LEFT_SECONDS:
            which, place = name(secret), cluster.namespace
            yield Found(
                f"{_PREVIOUS} stands in the Secret {which} for {(cluster.now - written) / 86_400:.0f} days now",
                f"kubectl patch secret {which} -n {place} --type json -p "
                f'\'[{{"op": "remove", "path": "/data/{_PREVIOUS}"}}]\'; then end the pods of the functions',
            )


def _written(secret: Object, key: str) -> float | None:
    """When somebody last wrote this key, in Unix time; None where the API server does not tell."""
    owners = secret["metadata"].get("managedFields") or ()
    times = [each.get("time") for each in owners if f"f:{key}" in ((each.get("fieldsV1") or {}).get("f:data") or {})]
    return max((datetime.fromisoformat(time).timestamp() for time in times if time), default=None)


@check("urls-differ", "settings", why="Containers are told one place, and the function signs links for another.")
def urls_differ(settings: Sequence[Function]) -> Iterator[Found]:
    for variable, group in product(_URLS, _together(settings)):
        if _differs(group, variable):
            yield Found(
                f"{variable} is not the same everywhere", f"set {variable} once, in the ConfigMap facteur-settings"
            )


@check("sinks-differ", "settings", why="Events of one function never reach the others.")
def sinks_differ(settings: Sequence[Function]) -> Iterator[Found]:
    for group in _together(settings):
        if _differs(group, "K_SINK"):
            yield Found(
                "K_SINK is not the same everywhere", "unset it, and let a SinkBinding to the broker `facteur` set it"
            )


def _differs(settings: Sequence[Function], variable: str) -> bool:
    known = {each.settings.get(variable, "").rstrip("/") for each in settings}
    return len(known - {"", TO_BE_BOUND}) > 1


@check("database-shared-role", "deployed", why="Each function may do all that any of them may.")
def database_shared_role(deployed: Deployed) -> Iterator[Found]:
    users: dict[str, list[str]] = {}
    for function in deployed.functions:
        if user := deployed.database_user(function):
            users.setdefault(user, []).append(function)
    for user, sharing in users.items():
        if len(sharing) > 1:
            yield Found(
                f"{', '.join(sharing)} use one role of the database, {user}",
                "give each the role that bears its name, like facteur_callback, in the Secret "
                "facteur-postgres-callback; then: facteur migrate",
            )
