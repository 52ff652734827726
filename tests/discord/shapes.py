"""What Discord accepts: every limit of answers, messages, components and commands that it documents."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.local.discord import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, PING

PONG, MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, FORM = 1, 4, 5, 6, 7, 8, 9
EPHEMERAL, SUPPRESS_EMBEDS = 64, 4
_ALLOWED = {
    PING: {PONG},
    COMMAND: {MESSAGE, DEFERRED, FORM},
    COMPONENT: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, FORM},
    AUTOCOMPLETE: {CHOICES},
    MODAL: {MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE},
}
_MESSAGE_FIELDS = {"content", "components", "allowed_mentions", "flags", "nonce", "enforce_nonce"}
_LOCALES = {
    *("id", "da", "de", "en-GB", "en-US", "es-ES", "es-419", "fr", "hr", "it", "lt", "hu", "nl", "no", "pl", "pt-BR"),
    *("ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW", "ko"),
}


def text_faults(name: str, text: object, least: int, most: int) -> Iterator[str]:
    """What is wrong with a text; counted in UTF-16 units, as the strictest of Discord's parts does."""
    if not isinstance(text, str):
        yield f"{name} is no text"
    elif any("\ud800" <= character <= "\udfff" for character in text):
        yield f"{name} has half a character"
    elif not least <= len(text.encode("utf-16-le")) // 2 <= most:
        yield f"{name} has {len(text)} characters, and may have {least} to {most}"


def answer_faults(kind: int, answer: Any) -> list[str]:
    """What is wrong with the answer to an interaction of this kind."""
    return list(_answer_faults(kind, answer))


def _answer_faults(kind: int, answer: Any) -> Iterator[str]:
    if not isinstance(answer, dict) or answer.get("type") not in _ALLOWED[kind]:
        yield f"an interaction of type {kind} may be answered with {sorted(_ALLOWED[kind])} only"
        return
    data = answer.get("data", {})
    if answer["type"] in (MESSAGE, UPDATE):
        yield from message_faults(data)
    elif answer["type"] == CHOICES:
        yield from _choice_faults(data.get("choices"))
    elif answer["type"] == FORM:
        yield from _form_faults(data)
    elif data and (answer["type"] != DEFERRED or data != {"flags": EPHEMERAL}):
        yield "an acknowledgement carries nothing but the flag for a private message"


def message_faults(message: Mapping[str, Any], empty: bool = False) -> Iterator[str]:
    """What is wrong with a message; ours have to say besides that they mention nobody."""
    if unknown := message.keys() - _MESSAGE_FIELDS:
        yield f"a message has no {sorted(unknown)}"
    yield from text_faults("content", message.get("content", ""), 0, 2000)
    if message.get("allowed_mentions") != {"parse": []}:
        yield "allowed_mentions must say that nobody is mentioned"
    if message.get("flags", 0) & ~(EPHEMERAL | SUPPRESS_EMBEDS):
        yield "flags may be those of private messages and without embeds only"
    if not empty and not str(message.get("content", "")).strip() and not message.get("components"):
        yield "a message must not be empty"
    if "nonce" in message:
        yield from text_faults("nonce", message["nonce"], 1, 25)
    yield from _row_faults(message.get("components", []))


def _row_faults(rows: Any) -> Iterator[str]:
    if not isinstance(rows, list) or len(rows) > 5:
        yield "a message has at most 5 rows"
        return
    ids: list[str] = []
    for row in rows:
        within = row.get("components") if isinstance(row, dict) and row.get("type") == 1 else None
        if not isinstance(within, list) or not 1 <= len(within) <= 5:
            yield "a row has type 1 and holds 1 to 5 buttons"
            continue
        for button in within:
            yield from _button_faults(button)
            ids += [button["custom_id"]] if "custom_id" in button else []
    if len(set(ids)) < len(ids):
        yield "a custom_id is there twice"


def _button_faults(button: Mapping[str, Any]) -> Iterator[str]:
    if button.get("type") != 2 or button.get("style") not in range(1, 6):
        yield "a button has type 2 and a style from 1 to 5"
    yield from text_faults("label", button.get("label"), 1, 80)
    if button.get("style") == 5:
        yield from text_faults("url", button.get("url"), 1, 512)
        if "custom_id" in button or not str(button.get("url")).startswith(("https://", "http://")):
            yield "a link is a button with a URL and without a custom_id"
    else:
        yield from text_faults("custom_id", button.get("custom_id"), 1, 100)


def _choice_faults(choices: Any) -> Iterator[str]:
    if not isinstance(choices, list) or len(choices) > 25:
        yield "at most 25 choices can be given"
        return
    for choice in choices:
        yield from text_faults("the name of a choice", choice.get("name"), 1, 100)
        yield from text_faults("the value of a choice", choice.get("value"), 1, 100)


def _form_faults(form: Mapping[str, Any]) -> Iterator[str]:
    yield from text_faults("custom_id", form.get("custom_id"), 1, 100)
    yield from text_faults("title", form.get("title"), 1, 45)
    rows = form.get("components")
    if not isinstance(rows, list) or not 1 <= len(rows) <= 5:
        yield "a modal has 1 to 5 rows"
        return
    for row in rows:
        within = row.get("components", []) if row.get("type") == 1 else []
        if len(within) != 1 or within[0].get("type") != 4 or within[0].get("style") not in (1, 2):
            yield "a row of a modal holds one text input"
            continue
        (entry,) = within
        yield from text_faults("the custom_id of an input", entry.get("custom_id"), 1, 100)
        yield from text_faults("the label of an input", entry.get("label"), 1, 45)
        yield from text_faults("the value of an input", entry.get("value", ""), 0, 4000)
        yield from text_faults("the placeholder of an input", entry.get("placeholder", ""), 0, 100)
        if not 0 <= entry.get("min_length", 0) <= entry.get("max_length", 4000) <= 4000:
            yield "the lengths of an input go from 0 to 4000"


def command_faults(commands: Any) -> list[str]:
    """What is wrong with the commands of an application."""
    if not isinstance(commands, list) or len(commands) > 100:
        return ["an application has at most 100 commands"]
    names = [command.get("name") for command in commands]
    faults = ["a command is there twice"] if len(set(names)) < len(names) else []
    for command in commands:
        faults += _option_faults(command)
        if _size(command) > 8000:
            faults.append("a command has at most 8000 characters in all")
    return faults


def _option_faults(said: Mapping[str, Any]) -> list[str]:
    faults: list[str] = []
    if not re.fullmatch(r"[-_a-z0-9]{1,32}", str(said.get("name"))):
        faults.append(f"{said.get('name')} is no name of a command or option")
    faults += text_faults("description", said.get("description"), 1, 100)
    for locale, text in said.get("description_localizations", {}).items():
        faults += [] if locale in _LOCALES else [f"Discord has no locale {locale}"]
        faults += text_faults(f"description in {locale}", text, 1, 100)
    options: Sequence[Mapping[str, Any]] = said.get("options", [])
    if len(options) > 25 or [o.get("required", False) for o in options] != sorted(
        (o.get("required", False) for o in options), reverse=True
    ):
        faults.append("there are at most 25 options, and those that are required come first")
    if not 1 <= said.get("max_length", 1) <= 6000:
        faults.append("max_length goes from 1 to 6000")
    if said.get("autocomplete") and said.get("choices"):
        faults.append("an option is completed or has choices, and not both")
    for option in options:
        faults += _option_faults(option)
    return faults


def _size(said: Mapping[str, Any]) -> int:
    longest = max([len(said["description"]), *map(len, said.get("description_localizations", {}).values())])
    choices = sum(len(c["name"]) + len(str(c["value"])) for c in said.get("choices", []))
    return len(said["name"]) + longest + choices + sum(map(_size, said.get("options", [])))
