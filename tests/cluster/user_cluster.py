"""A cluster of the user's own, as KUBECONFIG names it, instead of a control plane made for the tests."""

import base64
import contextlib
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import urllib3
import yaml

from shared.local.state import CannotStart
from tests.cluster.api import Api, ApiError
from tests.cluster.binaries import crd_manifests
from tests.cluster.custom_resources import install, remove
from tests.cluster.go_modules import Say

_TOKEN_SECONDS = 6 * 3600
_UNSUPPORTED = {"insecure-skip-tls-verify", "tls-server-name", "proxy-url"}


@contextlib.contextmanager
def user_cluster(kubeconfig: str, said: Say) -> Iterator[Mapping[str, str]]:
    """The environment for tests on this cluster; what is made in it is removed again."""
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="facteur-cluster-")))
        cluster, user = _current(kubeconfig)
        url = str(cluster["server"]).rstrip("/")
        said(f"tests use the cluster at {url}, which KUBECONFIG names")
        credentials = folder / "admin"
        _write_credentials(credentials, cluster, user)
        api = Api(url, credentials)
        try:
            if not (credentials / "token").exists():
                credentials = _account(api, folder, undo, said)
                api = Api(url, credentials)
            _install(api, undo, said)
        except (ApiError, urllib3.exceptions.HTTPError) as error:
            raise CannotStart(f"The cluster at {url} cannot be used: {error}") from error
        yield {"FACTEUR_TEST_API_URL": url, "FACTEUR_TEST_CREDENTIALS": str(credentials)}


def _install(api: Api, undo: ExitStack, said: Say) -> None:
    made = install(api, crd_manifests(said))
    if made:
        said(f"installed {', '.join(made)}; removed again at the end, with all their objects")
        undo.callback(remove, api, made)


def _account(api: Api, folder: Path, undo: ExitStack, said: Say) -> Path:
    """Credentials with the token of a new ServiceAccount that may do everything."""
    name = f"facteur-test-{secrets.token_hex(4)}"
    said(f"KUBECONFIG has a client certificate; its token comes from a ServiceAccount in namespace {name},")
    said(f"removed at the end (after a crash: kubectl delete namespace,clusterrolebinding {name})")
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    undo.callback(api.delete, f"/api/v1/namespaces/{name}")
    api.create(f"/api/v1/namespaces/{name}/serviceaccounts", {"metadata": {"name": "tests"}})
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "ServiceAccount", "namespace": name, "name": "tests"}
    api.create(bindings, {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
    undo.callback(api.delete, f"{bindings}/{name}")
    made = api.create(
        f"/api/v1/namespaces/{name}/serviceaccounts/tests/token", {"spec": {"expirationSeconds": _TOKEN_SECONDS}}
    )
    credentials = folder / "account"
    credentials.mkdir(mode=0o700)
    _write(credentials / "token", made["status"]["token"].encode())
    if (api.credentials / "ca.crt").exists():
        shutil.copy(api.credentials / "ca.crt", credentials / "ca.crt")
    return credentials


def _current(kubeconfig: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cluster and user of the current context, of several files the first that says so; paths are absolute."""
    merged: dict[str, dict[str, Any]] = {"clusters": {}, "users": {}, "contexts": {}}
    current = ""
    for path in [Path(each).absolute() for each in kubeconfig.split(":") if each and Path(each).exists()]:
        document = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        current = current or document.get("current-context") or ""
        for kind, found in merged.items():
            for entry in document.get(kind) or []:
                found.setdefault(entry["name"], _absolute(entry[kind.removesuffix("s")], path.parent))
    try:
        context = merged["contexts"][current]
        return merged["clusters"][context["cluster"]], merged["users"][context["user"]]
    except KeyError as missing:
        problem = f"there is no entry {missing}" if current else "there is no current-context, or no such file"
        raise CannotStart(f"KUBECONFIG={kubeconfig} names no cluster to test with: {problem}.") from None


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    files = {"certificate-authority", "client-certificate", "client-key", "tokenFile"}
    return {key: str(folder / value) if key in files and value else value for key, value in entry.items()}


def _write_credentials(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    """Write `ca.crt`, and either `token` or `tls.crt` and `tls.key`."""
    if unsupported := sorted(key for key in _UNSUPPORTED & set(cluster) if cluster[key]):
        raise CannotStart(f"A cluster with {' and '.join(unsupported)} in KUBECONFIG cannot be used by the tests.")
    folder.mkdir(mode=0o700)
    if authority := _content(cluster, "certificate-authority") or _system_authorities():
        _write(folder / "ca.crt", authority)
    if token := Path(user["tokenFile"]).read_text("ascii") if user.get("tokenFile") else user.get("token"):
        _write(folder / "token", str(token).encode())
        return
    certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
    if not (certificate and key):
        raise CannotStart(
            "The user of KUBECONFIG has neither a token nor a client certificate. Make a ServiceAccount that may do "
            "everything, and a KUBECONFIG whose user has its token (kubectl create token NAME)."
        )
    _write(folder / "tls.crt", certificate)
    _write(folder / "tls.key", key)


def _content(entry: Mapping[str, Any], name: str) -> bytes:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    return Path(entry[name]).read_bytes() if entry.get(name) else b""


def _system_authorities() -> bytes:
    found = ssl.get_default_verify_paths().cafile
    return Path(found).read_bytes() if found else b""


def _write(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)
