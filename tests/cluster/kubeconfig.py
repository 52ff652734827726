"""A kubeconfig for tests."""

from pathlib import Path

import yaml


def kubeconfig(file: Path, server: str, token: str, authority: Path | None = None) -> Path:
    """Writes one of one cluster and one user, with the context `test`."""
    cluster = {"server": server, **({"certificate-authority": str(authority)} if authority else {})}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return file
