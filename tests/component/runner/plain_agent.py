"""A container without the SDK, in a few lines that keep the contract: `python -m tests.component.runner.plain_agent`.

Its argument is the name of a flaw: then it breaks the contract in this one way.
"""

import hashlib
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FLAW = sys.argv[1] if len(sys.argv) > 1 else ""
URL = os.environ["CODEX_CALLBACK_URL"]
TOKEN = Path(os.environ["CODEX_CALLBACK_TOKEN_FILE"]).read_text()
KNOWN = {"TASK_ID", "ATTEMPT", "PROMPT_FILE", "CALLBACK_URL", "CALLBACK_TOKEN_FILE", "MEMORY_ENDPOINT", "DEADLINE"}
OVER = {401, 409} - {{"fenced": 409, "refused": 401}.get(FLAW, 0)}

said: list[dict[str, Any]] = []


class Stopped(BaseException):
    """SIGTERM."""


def stop(_number: int, _frame: object) -> None:
    raise Stopped


def ask(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body; OSError without an answer."""
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - as told
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, dict(answer.headers.items()), answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, dict(refusal.headers.items()), b"{}"
    except urllib.error.URLError as away:
        raise OSError(str(away)) from None


def authorised(method: str, path: str, body: Any) -> tuple[int, Mapping[str, str], Any]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    status, told, answer = ask(method, f"{URL}{path}", json.dumps(body).encode(), headers)
    return status, told, json.loads(answer)


def deliver(event: dict[str, Any]) -> None:
    """Returns once the event is stored; ends the process if the attempt is over."""
    tries = 0
    while True:
        try:
            status, told, answer = authorised("POST", "/events", event)
        except OSError:
            tries += 1
            if FLAW == "survives" and tries == 3:
                sys.exit(1)
            if FLAW == "repeats":
                event = {**event, "eventId": f"{event['eventId']}-again-{tries}"}
            time.sleep(0 if FLAW == "survives" else 0.2)
            continue
        if status in OVER:
            sys.exit(75)
        if status not in (429, 503):
            break
        time.sleep(0.1 if FLAW == "waits" else float(told["Retry-After"]))
    for first, last in answer.get("gaps", []) if FLAW != "gaps" else []:
        for missing in said[first - 1 : last]:
            authorised("POST", "/events", missing)


def say(kind: str, content: Any) -> None:
    number = len(said) + 1 + (FLAW == "numbers" and len(said) > 0)
    event = {
        "eventId": "e" if FLAW == "numbers-twice" and kind in ("log", "artifact") else f"e-{number}",
        "sequence": number,
        "eventType": kind,
        "content": content,
    }
    said.append(event)
    deliver(event)


def leave(name: str, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    _, _, promise = authorised("POST", "/artifacts", {"name": name, "size": len(content), "sha256": digest})
    upload = promise["upload"]
    ask("PUT", upload["url"], content, upload["headers"])
    if FLAW != "artifacts":
        authorised("POST", f"/artifacts/{promise['artifactId']}/commit", {})
        say("artifact", {"artifactId": promise["artifactId"], "name": name})


def work() -> int:
    try:
        prompt = Path(os.environ["CODEX_PROMPT_FILE"]).read_text()
    except OSError:
        prompt = "" if FLAW == "prompt" else sys.exit("there is no prompt")
    say("progress", f"read {len(prompt)} characters")
    if FLAW == "variables" and {name for name in os.environ if name.startswith("CODEX_")} > {
        f"CODEX_{k}" for k in KNOWN
    }:
        sys.exit("what is this variable?")
    if FLAW == "authorises":
        ask("GET", os.environ["CODEX_MEMORY_ENDPOINT"], None, {})
    if FLAW == "valid":
        authorised("POST", "/events", {"eventId": "x", "sequence": 9, "eventType": "shout"})
    if FLAW == "hides":
        print("my token is", TOKEN)
    say("log", f"working with {TOKEN}" if FLAW == "hides-in-event" else "working")
    leave("hello.txt", b"hello\n")
    if FLAW == "ends-never":
        return 0
    if FLAW == "completes":
        say("failed", "I cannot do this")
        return 1
    say("completed", "done")
    if FLAW == "ends":
        authorised("POST", "/events", {"eventId": "late", "sequence": 99, "eventType": "log"})
    return 1 if FLAW == "exit-code" else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.SIG_IGN if FLAW == "stops" else stop)
    try:
        sys.exit(work())
    except Stopped:
        if FLAW != "stops-silently":
            say("failed", "terminated")
        sys.exit(143)
