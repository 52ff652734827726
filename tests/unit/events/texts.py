"""Events as JSON text, to be broken and repaired."""

import json
from typing import Any

ABSENT = object()


def text(**changes: Any) -> str:
    """A plain event with some members changed or, by ABSENT, taken away."""
    members = {"specversion": "1.0", "id": "e-1", "source": "/orders", "type": "org.example.placed", **changes}
    return json.dumps({name: value for name, value in members.items() if value is not ABSENT})
