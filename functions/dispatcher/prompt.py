"""The prompt file of a run: what the caller asked for, then what earlier runs left, fenced as data."""

from collections.abc import Sequence

from shared.domain.memory import Recalled, fence
from shared.domain.task import Run


def render(run: Run, shown: Sequence[Recalled], nonce: str, budget_tokens: int) -> str:
    """The text of the prompt file; `nonce` makes the fence unguessable. Without memories it is the prompt alone."""
    about = {"repository": run.repository, "base": run.base, "head": run.head, "stage": run.stage}
    facts = "\n".join(f"{name}: {value}" for name, value in about.items() if value)
    memories = fence(shown, nonce, budget_tokens)
    return "\n\n".join(part for part in (run.prompt, facts, memories) if part) + "\n"
