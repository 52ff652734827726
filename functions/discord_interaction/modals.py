"""The two forms: what to plan, and a task once more with another prompt."""

from collections.abc import Mapping
from typing import Any

from functions.discord_interaction import answers
from functions.discord_interaction.commands import MAX_PROMPT

CONTENT = "content"  # as the earlier system called it
_TEXT_INPUT = 4
_SHORT, _LONG = 1, 2
_MAX_NAME = 100
_PLAN = "plan:"


def plan(command_id: str) -> dict[str, Any]:
    """The form of `/plan`."""
    asked = _input(CONTENT, "Content", _LONG, MAX_PROMPT, least=10)
    return answers.modal(f"{_PLAN}{command_id}", "Request Planning Run", [asked])


def is_plan(custom_id: str) -> bool:
    return custom_id.startswith(_PLAN)


def retry(custom_id: str, original: Mapping[str, str] | None) -> dict[str, Any]:
    """The form for another try, filled with what the task was; None if that could not be looked up in time."""
    known = original or {}
    prompt = known.get("prompt", "")
    # Half a prompt would be taken for the whole.
    hint = "The prompt is longer than fits here: write what is to be done." if len(prompt) > MAX_PROMPT else ""
    hint = hint or ("" if original else "I could not look the prompt up in time: write what is to be done.")
    inputs = [_input("prompt", "Prompt", _LONG, MAX_PROMPT, "" if hint else prompt, hint=hint)]
    for name in ("repository", "base", "head"):
        text = known.get(name, "")
        inputs.append(_input(name, name.capitalize(), _SHORT, _MAX_NAME, text if len(text) <= _MAX_NAME else "", 0))
    return answers.modal(custom_id, "Another try", inputs)


def _input(
    custom_id: str, label: str, style: int, most: int, value: str = "", least: int = 1, hint: str = ""
) -> dict[str, Any]:
    return {
        "type": _TEXT_INPUT,
        "custom_id": custom_id,
        "label": label,
        "style": style,
        "min_length": least,
        "max_length": most,
        "required": least > 0,
        **({"value": value} if value else {}),
        **({"placeholder": hint} if hint else {}),
    }
