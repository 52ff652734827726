"""Settings as functions read them: what is wrong with them, without a value."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from shared.settings import CONFIG_FILE, SettingsError, check
from shared.settings_file import read
from shared.settings_keys import VARIABLES
from shared.web.serve import ServerSettings, function_settings
from shared.yaml_document import Unreadable


def mistakes(function: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Every mistake that would keep the function from starting."""
    try:
        check([function_settings(function), ServerSettings], environ)
    except SettingsError as error:
        return error.mistakes
    return ()


def told(environ: Mapping[str, str]) -> dict[str, str]:
    """What environment and file say together, by variable; nothing of a file that cannot be read."""
    named = environ.get(CONFIG_FILE, "").strip()
    found: dict[str, str] = {}
    if named:
        with contextlib.suppress(Unreadable):
            found, _ = read(Path(named))
    return {**found, **{name: value for name, value in environ.items() if name in VARIABLES and value.strip()}}
