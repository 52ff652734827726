"""Keys, a certificate and tokens for one control plane, made by openssl and valid nowhere else."""

import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

_CURVE = ("-pkeyopt", "ec_paramgen_curve:prime256v1")
_NAMES = ("IP:127.0.0.1", "IP:10.0.0.1", "DNS:localhost", "DNS:kubernetes.default.svc")
_ADMIN = ("admin", "system:masters")
CONTROLLER_MANAGER = "controller-manager"


@dataclass(frozen=True, slots=True)
class Certificates:
    """The files of a folder. The one certificate is its own authority.

    `addresses` are the server's besides loopback; `users` are name and group of whom it knows besides the admin and
    the controller-manager, by what their kubeconfig is called.
    """

    folder: Path
    addresses: tuple[str, ...] = ()
    users: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def admin(self) -> Path:
        """A folder like that of a pod's ServiceAccount, whose token may do everything."""
        return self.folder / "admin"

    @property
    def certificate(self) -> Path:
        return self.admin / "ca.crt"

    @property
    def key(self) -> Path:
        return self.folder / "tls.key"

    @property
    def service_accounts_key(self) -> Path:
        """Signs the tokens of ServiceAccounts; it stays the same, so that they stay valid."""
        return self.folder / "service-accounts.key"

    @property
    def tokens(self) -> Path:
        """The users that the API server knows besides ServiceAccounts."""
        return self.folder / "tokens.csv"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def kubeconfig_of(self, user: str) -> Path:
        return self.folder / f"{user}.kubeconfig"

    def _token_of(self, user: str) -> Path:
        return self.folder / f"{user}.token"

    @property
    def _all_users(self) -> Mapping[str, tuple[str, str]]:
        return {CONTROLLER_MANAGER: ("system:kube-controller-manager", ""), **self.users}

    def make(self) -> None:
        """Make all of them, anew but for the key of ServiceAccounts."""
        self.admin.mkdir(parents=True, exist_ok=True, mode=0o700)
        names = "subjectAltName=" + ",".join([*_NAMES, *(f"IP:{address}" for address in self.addresses)])
        _openssl("req", "-x509", "-newkey", "ec", *_CURVE, "-nodes", "-days", "30", "-subj", "/CN=facteur-tests",
                 "-addext", names, "-keyout", str(self.key), "-out", str(self.certificate))  # fmt: skip
        if not self.service_accounts_key.exists():
            unfinished = self.service_accounts_key.with_suffix(".unfinished")
            # In the older form: the API server takes the public half of no other private key.
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(unfinished))
            unfinished.rename(self.service_accounts_key)
        users = [(self.admin / "token", *_ADMIN)]
        users += [(self._token_of(name), *user) for name, user in self._all_users.items()]
        lines = []
        for path, user, group in users:
            token = secrets.token_urlsafe(32)
            _write_secret(path, token)
            lines.append(f"{token},{user},{user},{group}\n")
        _write_secret(self.tokens, "".join(lines))

    def write_kubeconfigs(self, url: str) -> None:
        """Write those of the admin and of all other users, for a server with this URL."""
        self._kubeconfig(self.kubeconfig, url, self.admin / "token")
        for name in self._all_users:
            self._kubeconfig(self.kubeconfig_of(name), url, self._token_of(name))

    def _kubeconfig(self, path: Path, url: str, token: Path) -> None:
        cluster = {"server": url, "certificate-authority": str(self.certificate)}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "users": [{"name": "tests", "user": {"tokenFile": str(token)}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
        path.write_text(yaml.safe_dump(document), encoding="utf-8")


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text, encoding="ascii")
