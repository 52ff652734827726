"""The prompt file of a run: what the caller asked for, then what earlier runs left, fenced as data."""

from shared.domain.memory import Fenced
from shared.domain.task import Run


def render(run: Run, memories: Fenced) -> str:
    """The text of the prompt file. Without memories it is the prompt alone."""
    about = {"repository": run.repository, "base": run.base, "head": run.head, "stage": run.stage}
    facts = "\n".join(f"{name}: {value}" for name, value in about.items() if value)
    return "\n\n".join(part for part in (run.prompt, facts, memories.text) if part) + "\n"
