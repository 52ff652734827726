"""`facteur sandbox`: the secrets of the system in containers on one machine."""

import json
import os
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from shared.cli.terminal import fail, refuse
from shared.domain.token import SCOPES, token_sha256
from shared.local.discord import key_pair

_HEAD = "# The sandbox of this machine, made by `facteur sandbox`. Not for anybody else to see."


def sandbox(
    file: Annotated[Path, typer.Option(help="Where to keep them; what is there already is left alone.")] = Path(".env"),
) -> None:
    """Make passwords, keys and an API token for `docker compose up`, and keep them in a file."""
    text = "\n".join([_HEAD, *(f"{name}={_quoted(value)}" for name, value in _made().items()), ""])
    try:
        with os.fdopen(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as out:
            out.write(text)
    except FileExistsError:
        refuse(f"{file} is there already: with other secrets, what is in the volumes could not be opened any more")
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}")
    typer.echo(f"kept in {file}; go on with: docker compose up --build --wait")


def _made() -> Mapping[str, str]:
    """What docker-compose.yml reads, and what the end-to-end suite needs to reach what comes of it."""
    token, password = f"fca_{secrets.token_urlsafe(32)}", secrets.token_hex(24)
    caller = {"caller": "sandbox", "sha256": token_sha256(token).hex(), "scopes": sorted(SCOPES)}
    private_key, public_key = key_pair()
    return {
        "SANDBOX_PORT": "8080",
        "SANDBOX_DISCORD_PORT": "8090",
        "SANDBOX_POSTGRES_PORT": "5432",
        "SANDBOX_STORE_PORT": "9000",
        "POSTGRES_PASSWORD": password,
        "REDIS_PASSWORD": secrets.token_hex(24),
        "MINIO_SECRET_KEY": secrets.token_hex(24),
        "FACTEUR_TOKEN_SECRET": secrets.token_hex(32),
        "FACTEUR_API_TOKENS": json.dumps([caller]),
        "FACTEUR_DISCORD_PUBLIC_KEY": public_key,
        "FACTEUR_E2E_BASE_URL": "http://127.0.0.1:${SANDBOX_PORT}",
        "FACTEUR_E2E_TOKEN": token,
        "FACTEUR_E2E_POSTGRES_DSN": f"postgresql://facteur:{password}@127.0.0.1:${{SANDBOX_POSTGRES_PORT}}/facteur",
        "FACTEUR_E2E_ARTIFACTS_URL": "http://127.0.0.1:${SANDBOX_STORE_PORT}",
        "FACTEUR_E2E_DISCORD_PRIVATE_KEY": private_key,
    }


def _quoted(value: str) -> str:
    """As a shell and Compose read it alike; what names another variable stays open to it."""
    return value if "${" in value else shlex.quote(value)
