"""The commands as Discord is told of them, and which options each of them declares.

Texts are English; what other languages say stands beside them, by Discord's names of locales.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

GROUP = "codex"
STAGES: Mapping[str, str] = MappingProxyType({"plan": "planning", "implement": "implementation", "review": "review"})
COMMANDS_OF_STAGES: Mapping[str, str] = MappingProxyType({stage: command for command, stage in STAGES.items()})
MAX_PROMPT = 4000

_SUB_COMMAND, _STRING = 1, 3
_CHAT_INPUT = 1
# Of a server, and of the application's own direct messages.
_CONTEXTS = [0, 1]


def _said(english: str, german: str, french: str) -> dict[str, Any]:
    return {"description": english, "description_localizations": {"de": german, "fr": french}}


def _text(name: str, said: dict[str, Any], most: int, *, required: bool = False, helped: bool = False) -> Any:
    return {
        "type": _STRING,
        "name": name,
        **said,
        "required": required,
        "max_length": most,
        **({"autocomplete": True} if helped else {}),
    }


_PROMPT = _text(
    "prompt", _said("What is to be done", "Was zu tun ist", "Ce qu'il faut faire"), MAX_PROMPT, required=True
)
_REPOSITORY = _text("repository", _said("owner/name", "owner/name", "owner/name"), 100, helped=True)
_BASE = _text("base", _said("The branch to start from", "Der Ausgangs-Branch", "La branche de départ"), 100)
_HEAD = _text("head", _said("The branch to work on", "Der Arbeits-Branch", "La branche de travail"), 100)
_NAMESPACE = _text(
    "namespace", _said("A namespace of the cluster", "Ein Namespace des Clusters", "Un namespace du cluster"), 63,
    helped=True,
)  # fmt: skip
_TASK = _said("The task's id", "Die Kennung der Aufgabe", "L'identifiant de la tâche")
_QUERY = _text(
    "query", _said("What to look for", "Wonach zu suchen ist", "Ce qu'il faut chercher"), 1000, required=True
)


def _sub(name: str, said: dict[str, Any], *options: Any) -> dict[str, Any]:
    return {"type": _SUB_COMMAND, "name": name, **said, "options": list(options)}


_TASK_OPTIONS = (_PROMPT, _REPOSITORY, _BASE, _HEAD)

COMMANDS: tuple[Mapping[str, Any], ...] = (
    {
        "type": _CHAT_INPUT,
        "name": GROUP,
        **_said("Tasks for coding agents", "Aufgaben für Coding-Agenten", "Des tâches pour les agents"),
        "contexts": _CONTEXTS,
        "options": [
            _sub("plan", _said("Have a plan made", "Einen Plan machen lassen", "Faire un plan"), *_TASK_OPTIONS),
            _sub("implement", _said("Have it done", "Es umsetzen lassen", "Faire réaliser"), *_TASK_OPTIONS),
            _sub("review", _said("Have it reviewed", "Es prüfen lassen", "Faire relire"), *_TASK_OPTIONS),
            _sub(
                "status",
                _said("How a task is doing", "Wie es um eine Aufgabe steht", "Où en est une tâche"),
                _text("task", _TASK, 36, helped=True),
            ),
            _sub(
                "cancel",
                _said("End a task", "Eine Aufgabe beenden", "Arrêter une tâche"),
                _text("task", _TASK, 36, required=True, helped=True),
            ),
            _sub(
                "memory",
                _said("What is remembered", "Was in Erinnerung ist", "Ce qui est en mémoire"),
                _QUERY,
                _REPOSITORY,
                _NAMESPACE,
            ),
        ],
    },
    {
        "type": _CHAT_INPUT,
        "name": "plan",
        **_said("Write down what to plan", "Aufschreiben, was zu planen ist", "Écrire ce qu'il faut planifier"),
        "contexts": _CONTEXTS,
        "options": [],
    },
)

# Options that each command below /codex declares; what else is sent is no parameter.
OPTIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {sub["name"]: frozenset(option["name"] for option in sub["options"]) for sub in COMMANDS[0]["options"]}
)
