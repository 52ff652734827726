"""Plays the Kubernetes API for TokenReviews: who may ask, and whose token it is, as the real one answers."""

import json
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.serving import serving

OWN_TOKEN = "the-token-of-the-function's-own-account"
AUDIENCE = "facteur"


def jwt(name: str) -> str:
    """Something with the shape of a ServiceAccount's token."""
    return f"eyJhbGciOiJSUzI1NiJ9.{name}.c2lnbmF0dXJl"


@dataclass
class KubernetesApi:
    """`users` maps tokens to a user name and the audiences that the token was made for."""

    url: str
    credentials: Path
    users: dict[str, tuple[str, list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    reviewers: set[str] = field(default_factory=lambda: {OWN_TOKEN})
    knows_audiences: bool = True
    broken: tuple[int, bytes] | None = None

    def review(self, body: dict[str, Any]) -> dict[str, Any]:
        """The status of a TokenReview."""
        spec = body["spec"]
        self.asked.append(spec["token"])
        name, audiences = self.users.get(spec["token"], ("", []))
        fitting = [audience for audience in spec.get("audiences", []) if audience in audiences]
        if not name or (self.knows_audiences and not fitting):
            return {"user": {}, "error": "[invalid bearer token, square/go-jose: error in cryptographic primitive]"}
        user = {"username": name, "uid": "1", "groups": ["system:serviceaccounts", "system:authenticated"]}
        return {"authenticated": True, "user": user} | ({"audiences": fitting} if self.knows_audiences else {})


def _handler(api: KubernetesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one piece

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            if api.broken:
                return self._answer(*api.broken)
            if self.headers["Authorization"].removeprefix("Bearer ") not in api.reviewers:
                return self._status(401, "Unauthorized")
            if self.path != "/apis/authentication.k8s.io/v1/tokenreviews":
                return self._status(404, "NotFound")
            body = json.loads(raw)
            if (body["apiVersion"], body["kind"]) != ("authentication.k8s.io/v1", "TokenReview"):
                return self._status(400, "BadRequest")
            return self._answer(201, json.dumps(body | {"metadata": {}, "status": api.review(body)}).encode())

        def _status(self, code: int, reason: str) -> None:
            document = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code}
            self._answer(code, json.dumps(document).encode())

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler


def certificate(folder: Path) -> None:
    """A key and a certificate of its own for 127.0.0.1: `tls.key` and `ca.crt`."""
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(folder / "tls.key"), "-out", str(folder / "ca.crt"), "-days", "2", "-subj", "/CN=tests"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@contextmanager
def kubernetes_api(folder: Path, tls: bool = False) -> Iterator[KubernetesApi]:
    """The server, with a folder of credentials for those who ask it."""
    folder.mkdir(exist_ok=True)
    (folder / "token").write_text(OWN_TOKEN + "\n")
    api = KubernetesApi("", folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    server.daemon_threads = True
    if tls:
        certificate(folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "ca.crt", folder / "tls.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    api.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    with serving(server):
        yield api
