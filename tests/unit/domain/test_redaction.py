"""Credentials leave a text; the rest of it, and what it means, stays."""

import json
import re
from functools import partial

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain import redaction, redaction_manifests
from shared.domain.redaction import redact
from tests.cpu_time import cpu_seconds

MARK = re.compile(r"\[redacted:[0-9a-f]{8}\]")

# Put together here, so that no scanner takes this file for a leak.
GITHUB = "ghp_" + "a1B2" * 9
GITHUB_FINE = "github_pat_" + "11ABCDEFG0" * 5
OPENAI = "sk-proj-" + "Ab3_d-" * 8
SLACK = "xoxb-" + "123456789012-abcdef"
AWS_ID = "AKIA" + "IOSFODNN7EXAMPLE"
AWS_SECRET = "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY"
GOOGLE = "AIza" + "SyA1b2C3d4" * 4
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0In0." + "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
DISCORD = "MTIzNDU2Nzg5MDEyMzQ1Njc4" + ".GAbCdE." + "abcdefghijklmnopqrstuvwxyz0123456789AB"
TASK_TOKEN = "fct_1_" + "Ab3-" * 10 + "xyz"
PEM_BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"] * 3 + ["Qw=="])
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}\n-----END RSA PRIVATE KEY-----"

SECRET_YAML = """\
apiVersion: v1
data:
  username: YWRtaW4=
  password: aHVudGVyMg==
  config.json: |
    eyJhIjoxfQ==
    eyJiIjoyfQ==
kind: Secret
metadata:
  name: db
type: Opaque
"""
SECRET_LIST = """\
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Secret
  metadata:
    name: a
  stringData:
    user: admin
    note: "two words"
- apiVersion: v1
  kind: Service
  metadata:
    name: web
"""
CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\ndata:\n  LOG_LEVEL: debug\n  color: blue\n"
SECRET_JSON = json.dumps({"kind": "Secret", "data": {"user": "YWRtaW4=", "p": "aHVudGVyMg=="}})
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

HIDDEN = {
    "github": (f"use {GITHUB} here", [GITHUB]),
    "github fine-grained": (GITHUB_FINE, [GITHUB_FINE]),
    "github in an escaped text": (f'{{"log": "a\\n{GITHUB}\\nb"}}', [GITHUB]),
    "openai": (f"OPENAI={OPENAI}", [OPENAI]),
    "slack": (f"curl -d {SLACK}", [SLACK]),
    "slack hook": ("https://hooks.slack.com/services/T00/B00/abcDEF123456abcDEF123456", ["abcDEF123456"]),
    "aws id": (f"id {AWS_ID}.", [AWS_ID]),
    "aws secret": (f"aws_secret_access_key = {AWS_SECRET}", [AWS_SECRET]),
    "google": (f"?k={GOOGLE}", [GOOGLE]),
    "jwt": (f"got {JWT}!", [JWT]),
    "jwt in an escaped text": (f"\\n{JWT}", [JWT]),
    "discord": (f"bot {DISCORD}", [DISCORD]),
    "discord hook": ("https://discord.com/api/webhooks/123/abcdefGHIJKLmnopQRST12", ["abcdefGHIJKL"]),
    "task token": (f"token file holds {TASK_TOKEN}", [TASK_TOKEN]),
    "pem": (f"key:\n{PEM}\nend", [PEM_BODY, "MIIEvQ", "Qw=="]),
    "pem cut short": (PEM[:150] + "\n\nThe rest is prose.", ["MIIEvQ"]),
    "pem in an escaped text": (json.dumps(PEM), ["MIIEvQ"]),
    "bearer": ("Authorization: Bearer abc.def-123", ["abc.def-123"]),
    "bearer without a digit": ("Authorization: Bearer secretword", ["secretword"]),
    "bearer in curl": ("curl -H 'authorization: bearer 0123456789abcdef'", ["0123456789abcdef"]),
    "basic": ('"Authorization": "Basic dXNlcjpwYXNz"', ["dXNlcjpwYXNz"]),
    "url": ("postgres://app:hunter2@db:5432/x", ["hunter2"]),
    "url with odd password": ("redis://:p@ss:w0rd@cache", ["p@ss", "w0rd"]),
    "url with a known token": (f"https://{GITHUB}:x-oauth-basic@github.com/a/b", [GITHUB, "x-oauth-basic"]),
    "signed url": ("https://s3/x?X-Amz-Signature=0a1b2c3d&size=1", ["0a1b2c3d"]),
    "query": ("GET /cb?state=1&access_token=abc123def&x=y", ["abc123def"]),
    "env": ("POSTGRES_PASSWORD=correct", ["correct"]),
    "env with odd characters": ("DB_PASSWORD=a&b#c,d;e", ["a&b#c,d;e"]),
    "env with a default": ("password=${DB_PASSWORD:-hunter2}", ["hunter2"]),
    "env with a default of another name": ("TOKEN=${X:-hunter2}", ["hunter2"]),
    "env with brackets": ("DB_PASSWORD=aXk(Zq[b\nDEBUG=1", ["aXk", "Zq", "[b"]),
    "env in a command": ("PGPASSWORD=hunter; psql", ["hunter"]),
    "dotted words": ('password: summer.winter\nPASSWORD=spring.autumn\n"token": "a.b"', ["summ", "spr", "a.b"]),
    "export": ('export API_KEY="a b c"', ["a b c"]),
    "dsn": ("host=db password=hunter user=app", ["hunter"]),
    "ini": ("[db]\npassword = changeme\n", ["changeme"]),
    "toml": ('secret_key = "s3cr3t"', ["s3cr3t"]),
    "json": ('{"user":"bob","password":"hunter \\"2\\" x","n":1}', ["hunter", "2", "x"]),
    "escaped json": ('"{\\"password\\":\\"hunter2\\",\\"a\\":1}"', ["hunter2"]),
    "javascript": ("{ apiKey: 'abc', clientSecret: `def` }", ["abc", "def"]),
    "annotated": ('password: str = "hunter2"', ["hunter2"]),
    "python": ('os.environ["DB_PASSWORD"] = "hunter2"', ["hunter2"]),
    "triple quotes": ('token = """abc123"""', ["abc123"]),
    "ruby": (":password => 'hunter2'", ["hunter2"]),
    "yaml": ("spring:\n  datasource:\n    password: changeme\n    user: app", ["changeme"]),
    "yaml with a comment": ("- token: abc123 # rotate", ["abc123"]),
    "yaml block": ("tls:\n  private_key: |\n    line one\n    line two\n  port: 1", ["line one", "line two"]),
    "yaml number": ("password: 12345678", ["12345678"]),
    "markdown": ("**Password:** hunter2 and **token**: `abc`", ["hunter2", "abc"]),
    "prose": ("log in with password: hunter2 please", ["hunter2"]),
    "xml": ("<db><password>hunter</password></db>", [">hunter<"]),
    "sql": ("CREATE ROLE app PASSWORD 'hunter two'", ["hunter two"]),
    "flag": ("mysql --password hunter2 --db-token=abc", ["hunter2", "abc"]),
    "docker login": ('{"auths":{"r.io":{"auth":"dXNlcjpwYXNz"}}}', ["dXNlcjpwYXNz"]),
    "pod env": ("env:\n- name: DB_PASSWORD\n  value: changeme\n- name: B\n  value: ok", ["changeme"]),
    "pod env as json": ('{"name": "API_TOKEN", "value": "abc"}', ['"abc"']),
    "secret": (SECRET_YAML, ["YWRtaW4=", "aHVudGVyMg==", "eyJhIjoxfQ==", "eyJiIjoyfQ=="]),
    "secret in a list": (SECRET_LIST, ["admin", "two words"]),
    "secret in a diff": (
        "   kind: Secret\n   data:\n-    a: b2xk\n+    a: bmV3\n   metadata:\n     name: x",
        ["b2xk", "bmV3"],
    ),
    "secret in flow style": ("kind: Secret\ndata: {user: admin, p: x}\n", ["admin"]),
    "secret as json": (SECRET_JSON, ["YWRtaW4=", "aHVudGVyMg=="]),
    "secret as indented json": (json.dumps(json.loads(SECRET_JSON), indent=2), ["YWRtaW4=", "aHVud"]),
    "secret as escaped json": (json.dumps({"log": SECRET_JSON}), ["YWRtaW4=", "aHVudGVyMg=="]),
    "secret cut short": (SECRET_JSON[:-6], ["YWRtaW4=", "aHVud"]),
    "string data with braces": ('{"stringData": {"c": "{\\"a\\": {}}", "d": "x y"}}', ["a\\", "x y"]),
    "applied": (f"metadata:\n  annotations:\n    {APPLIED}: |\n      {SECRET_JSON}\n", ["Secret", "YWRtaW4="]),
    "applied as json": (json.dumps({"annotations": {APPLIED: SECRET_JSON}}), ["Secret", "YWRtaW4="]),
}

KEPT = [
    "Rotate the token when it expires; the password reset flow sends an e-mail.",
    "Fix the token parser: tokens are split at white space, and max_tokens=4096 is kept.",
    "Password: required. Token: the string that identifies a session.",
    "The wrong password: try again. Error: invalid token: unexpected end of file",
    "a secret is a value that nobody knows; secrets: inherit",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "id: 123e4567-e89b-12d3-a456-426614174000",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "uv.lock: hash = 'sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae'",
    "def login(user: str, password: str, token: str | None = None) -> Token:",
    "password = get_password(user)\ntoken = request.headers['Authorization']",
    "connect(password=password, token=settings.token)",
    "self.token = next(tokens)  # the next token",
    "if token == expected and secret != other: pass",
    "class Login:\n    token: Token\n    password: SecretStr\n",
    "interface Login { token: string; password?: string }",
    "const { token, secret } = this.props;",
    "api_key=os.environ['API_KEY']",
    "PASSWORD=$DB_PASSWORD TOKEN=${TOKEN} API_KEY=<your-key> SECRET=****",
    "token: ${{ secrets.GITHUB_TOKEN }}",
    'password: "{{ .Values.db.password }}"',
    "Authorization: Bearer <token>",
    "Authorization: Bearer ${TOKEN}",
    "Bearer authentication-scheme as in RFC 6750",
    "automountServiceAccountToken: false",
    "volumes:\n- name: tls\n  secret:\n    secretName: web-tls",
    "valueFrom:\n  secretKeyRef:\n    name: db\n    key: password",
    "token_file: /var/run/secrets/token\npasswordFile: ./password.txt\ntoken: /run/secrets/token",
    "env:\n- name: LOG_LEVEL\n  value: debug",
    "PWD=/srv/app OLDPWD=/srv",
    "git clone ssh://git@github.com/acme/shop.git && curl http://localhost:8080/a@b",
    "see https://example.com/docs?page=2#token",
    "use the --token flag, or --password-file",
    "`-----BEGIN PRIVATE KEY-----` and `-----END PRIVATE KEY-----` are the lines around it",
    '{"usage": {"input_tokens": 24763, "output_tokens": 122}, "token": 12}',
    "primary_key=True, public_key: ssh-ed25519, monkey: banana",
    "sk-learn-is-not-a-key-but-a-library, task-scheduling-with-priorities-1",
    "a laughs_internationalization b",
    "::token::parse(&input)",
    "self.password = raw_password",
    "postgres://app:{self._password()}@db/x and redis://:${REDIS_PASSWORD}@cache and amqp://a:$PW@mq",
    "std::map<Token> = x; Vec<Token>",
    CONFIG_MAP,
]


@pytest.mark.parametrize(("text", "secrets"), HIDDEN.values(), ids=HIDDEN.keys())
def test_a_credential_is_hidden(text: str, secrets: list[str]) -> None:
    redacted = redact(text)
    assert MARK.search(redacted)
    assert not [secret for secret in secrets if secret in MARK.sub("", redacted)]


@pytest.mark.parametrize("text", KEPT)
def test_code_and_prose_stay_as_they_are(text: str) -> None:
    assert redact(text) == text


FRAGMENTS = [
    *(text for text, _ in HIDDEN.values()),
    *KEPT,
    *["token", "password", "secret", "API_KEY", "name", "value", "data", "stringData", "kind", "Secret"],
    *["auth", "bearer", "user", "--", "PASSWORD", "authorization"],
    *[GITHUB, JWT, TASK_TOKEN, PEM, AWS_ID, PEM[:60], "[redacted:0123abcd]", "[redacted:", "://", "${X}"],
    *["=", ":", ": ", " ", "\n", "\n  ", '"', "'", "`", "\\", '\\"', "{", "}", "[", "]", "(", ")", "<", ">"],
    *["@", "/", ",", ";", "|", ">-", "&", "#", "*", "-", "- ", "---\n", "word", "abc1", "7", "é", "\ud800"],
]
PIECES = st.lists(st.sampled_from(FRAGMENTS), max_size=14).map("".join)


@given(PIECES)
@example("https://a:b[redacted:0123abcd]@c")
@example(
    '{"kind": "Secret", "data": {"p": "aHVudGVyMapiVersion: v1\nkind: Secret\nstringData:\n  user: a\n  note: "b c"\n'
)
@example("password=[redacted:0123abcd]x")
@example(f"token: word {GITHUB}")
@example("PASSWORD=token://1")
def test_redacting_twice_is_redacting_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


HOSTILE = [
    *["token=(", "token: ", "password='", 'password=\\"', "token=$token:", "secret:http://", "sk-", "fct_"],
    *["eyJaaaaaaaa.", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\naaaaaaaaaaaaaaaaaaaaaaaa\n"],
    *['"data":{', '"data":{"', '\\"data\\":{\\"x\\":\\"', '"kind":"Secret"', "kind: Secret\ndata:\n  a:\n", "data:\n "],
    *["stringData:\n", "://a:", "://:", "bearer a", "token ", "name: token ", "token.token.", "token=a.", "/a/b"],
    *["token[", "token:str", "token=token(", "secret value", "Authorization:", "- ", "\t", "\r", "+", "password=*"],
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_takes_linear_time(piece: str) -> None:
    """Measured: at most 0.02 s for 16 KiB; quadratic time would be seconds."""
    for start in ("", "kind: Secret\nstringData:\n", '"kind":"Secret","data":{'):
        text = start + piece * (16_384 // len(piece))
        assert cpu_seconds(partial(redact, text)) < 0.5


@pytest.mark.parametrize("piece", ["token=(", '"data":{"', "a\n"])
def test_a_hostile_mebibyte_takes_less_than_seconds(piece: str) -> None:
    """Measured: 0.3 to 1.6 s."""
    text = "kind: Secret\nstringData:\n" + piece * (1_048_576 // len(piece))
    assert cpu_seconds(lambda: redact(text)) < 9


def test_equal_credentials_have_equal_marks_and_others_do_not() -> None:
    marks = MARK.findall(redact("password=abc1 secret: 'abc1' token=xyz2"))
    assert marks[0] == marks[1] != marks[2]


def test_a_key_of_ones_own_makes_other_marks() -> None:
    assert redact("password=abc1", b"key") == redact("password=abc1", b"key")
    assert redact("password=abc1", b"key") != redact("password=abc1")


def test_a_marks_digest_never_changes() -> None:
    """Stored texts are compared by their marks: a change here makes equal values look different."""
    assert redact("password=hunter2") == "password=[redacted:201ca174]"


def test_what_stands_around_a_secret_stays() -> None:
    assert MARK.sub("*", redact(SECRET_YAML)) == (
        "apiVersion: v1\ndata:\n  username: *\n  password: *\n  config.json: *\nkind: Secret\n"
        "metadata:\n  name: db\ntype: Opaque\n"
    )
    assert MARK.sub("*", redact(SECRET_LIST)).endswith(
        "  stringData:\n    user: *\n    note: *\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: web\n"
    )


def test_a_config_map_beside_a_secret_stays() -> None:
    redacted = redact(f"{CONFIG_MAP}---\n{SECRET_YAML}---\n{CONFIG_MAP}")
    assert redacted.startswith(CONFIG_MAP)
    assert redacted.endswith(CONFIG_MAP)


def test_json_stays_json() -> None:
    manifest = json.loads(redact(json.dumps({"items": [json.loads(SECRET_JSON)], "password": 'a"b'})))
    assert MARK.fullmatch(manifest["password"])
    assert manifest["items"][0]["kind"] == "Secret"
    assert all(MARK.fullmatch(value) for value in manifest["items"][0]["data"].values())


def test_data_that_is_no_secrets_stays_beside_one() -> None:
    text = json.dumps({"data": {"run": {"id": 7, "note": "fine"}}, "kind": "Secret"})
    assert redact(text) == text


def test_no_pattern_is_of_a_kind_that_some_pythons_match_wrongly() -> None:
    """Possessive repeats and atomic groups: wrong in Python 3.11 before 3.11.5, which Debian 12 has."""
    values = [*vars(redaction).values(), *vars(redaction_manifests).values()]
    patterns = [value.pattern for value in values if isinstance(value, re.Pattern)]
    patterns += [shape.pattern for shape in redaction._SHAPES]
    assert len(patterns) > 30
    for pattern in patterns:
        bare = re.sub(r"\\.", "_", pattern)
        bare = re.sub(r"\[\^?\]?[^\]]*\]", "_", bare)
        assert not re.search(r"[*+?}]\+|\(\?>", bare), pattern
