"""A message as Discord's clients read it: what in it formats, links or mentions, and is not of facteur."""

import re

_BLOCK = re.compile(r"```\n.*?\n```", re.DOTALL)
_ESCAPED = re.compile(r"\\[!-/:-@\[-`{-~]")
# What facteur itself puts around the words of others: states, times, links to itself, ids, names of commands.
_OURS = re.compile(
    r"\*\*[a-z ]+\*\*|<t:[0-9]+:R>|<https://facteur\.test/\S+>|`[0-9a-f-]{36}`|`/codex [a-z]+`|^> ", re.M
)
_MEANS_SOMETHING = re.compile(
    r"[*_~`|<>\[\]]|^\s*(?:#|-|[0-9]+\.) |@(?!\u200b)|[a-z]+://|[\u202a-\u202e\u2066-\u2069]", re.M
)


def breaks_out(content: str) -> list[str]:
    """Everything in a message that means something to Discord and that facteur did not put there."""
    outside = _OURS.sub("", _ESCAPED.sub("", _BLOCK.sub("", content)))
    found = [match.group() for match in _MEANS_SOMETHING.finditer(outside)]
    for block in _BLOCK.findall(content):
        inside = block[3:-3]
        # A code block formats nothing, but a client that shows a part of it might.
        found += [match.group() for match in re.finditer(r"```|@(?!\u200b)", inside)]
    return found
