"""Makes every Secret that the functions and their servers need, with passwords that nobody has seen.

`python3 knative/platform/secrets/make_secrets.py | kubectl create -f -` makes all of them; `create`, because a second
run must not replace a password that is in use. OPENAI_API_KEY and FACTEUR_DISCORD_BOT_TOKEN are taken from the
environment, and where MinIO is there already, MINIO_ROOT_USER and MINIO_ROOT_PASSWORD too. In a pod, `--missing`
creates those that are not there, by the API server and as the pod's own account.
"""

import argparse
import hashlib
import http.client
import json
import os
import secrets
import ssl
import sys
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path

FUNCTIONS = ("callback", "codex-intake", "discord-interaction", "dispatcher", "embedder", "memory-query")
GIVEN = ("OPENAI_API_KEY", "FACTEUR_DISCORD_BOT_TOKEN")
SCOPES = ["tasks:write", "tasks:read", "memory:read"]
_SERVER = "kubernetes.default.svc:443"
_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

Data = Mapping[str, str]


def contents(sslmode: str, environ: Mapping[str, str]) -> dict[str, Data]:
    """What is in each Secret, by its name."""
    redis = _password()
    made: dict[str, Data] = {
        "facteur-secrets": {**_shared(), **{name: environ[name] for name in GIVEN if environ.get(name)}},
        "facteur-postgres-superuser": {"username": "postgres", "password": _password()},
        "facteur-postgres-migrate": _database("facteur", sslmode),
        "facteur-redis": {"password": redis, "url": f"redis://:{redis}@facteur-redis.facteur:6379/0"},
        "facteur-minio": {"MINIO_ACCESS_KEY": "facteur", "MINIO_SECRET_KEY": _password()},
        "facteur-minio-root": {
            "username": environ.get("MINIO_ROOT_USER") or "root",
            "password": environ.get("MINIO_ROOT_PASSWORD") or _password(),
        },
        "facteur-backups": {"ACCESS_KEY_ID": "facteur-backups", "ACCESS_SECRET_KEY": _password()},
    }
    for function in FUNCTIONS:
        made[f"facteur-postgres-{function}"] = _database(f"facteur_{function.replace('-', '_')}", sslmode)
    return made


def manifest(name: str, data: Data) -> dict[str, object]:
    """The Secret."""
    # Passwords of roles have the type that CloudNativePG asks for, and the label that makes it read them anew.
    role = name.startswith("facteur-postgres-")
    labels = {"app.kubernetes.io/part-of": "facteur", **({"cnpg.io/reload": "true"} if role else {})}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "facteur", "labels": labels},
        "type": "kubernetes.io/basic-auth" if role else "Opaque",
        "stringData": dict(data),
    }


def create(secret: Mapping[str, object], server: str, account: Path) -> bool:
    """Creates it at the API server `host:port`; False if there is one of that name, whatever it holds."""
    trusted = ssl.create_default_context(cafile=str(account / "ca.crt"))
    token = (account / "token").read_text(encoding="ascii").strip()
    connection = http.client.HTTPSConnection(server, timeout=10, context=trusted)
    try:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        connection.request("POST", "/api/v1/namespaces/facteur/secrets", json.dumps(secret), headers)
        answer = connection.getresponse()
        if answer.status not in (HTTPStatus.CREATED, HTTPStatus.CONFLICT):
            raise SystemExit(f"the API server answered {answer.status} {answer.reason}")
        return answer.status == HTTPStatus.CREATED
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--missing", action="store_true", help="create what is missing, from inside a pod")
    parser.add_argument("--sslmode", default="prefer", help="how functions speak to PostgreSQL; require for production")
    arguments = parser.parse_args()
    made = {name: manifest(name, data) for name, data in contents(arguments.sslmode, os.environ).items()}
    if not arguments.missing:
        json.dump({"apiVersion": "v1", "kind": "List", "items": [*made.values()]}, sys.stdout, indent=2)
        return
    for name, secret in made.items():
        print(f"{name}: {'created' if create(secret, _SERVER, _ACCOUNT) else 'is there already'}")


def _password() -> str:
    return secrets.token_urlsafe(24)


def _shared() -> dict[str, str]:
    token = f"fca_{secrets.token_urlsafe(32)}"
    caller = {"caller": "first", "sha256": hashlib.sha256(token.encode()).hexdigest(), "scopes": SCOPES}
    return {
        "FACTEUR_TOKEN_SECRET": secrets.token_hex(32),
        "FACTEUR_API_TOKENS": json.dumps([caller]),
        # No function reads it: it is for whoever wants to make the first call.
        "first-caller-token": token,
    }


def _database(role: str, sslmode: str) -> dict[str, str]:
    password = _password()
    server = "facteur-postgres-rw.facteur:5432"
    return {
        "username": role,
        "password": password,
        "dsn": f"postgresql://{role}:{password}@{server}/facteur?sslmode={sslmode}",
    }


if __name__ == "__main__":
    main()
