"""Cluster objects are remembered without noise and secrets, and compared field by field."""

import json
import re
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.manifests import Seen, difference, digest, document
from shared.domain.task import Target
from tests.cpu_time import cpu_seconds

KEY = b"key"
MARK = re.compile(r"\[redacted:[0-9a-f]{8}\]")
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CONFIG = Target("v1", "ConfigMap", "shop", "settings")
SECRET = Target("v1", "Secret", "shop", "db")
DEPLOYMENT = Target("apps/v1", "Deployment", "shop", "web")


def manifest(target: Target, metadata: dict[str, Any] | None = None, **content: Any) -> dict[str, Any]:
    named = {"name": target.name, "namespace": target.namespace} | (metadata or {})
    return {"apiVersion": target.api_version, "kind": target.kind, "metadata": named, **content}


def shown(target: Target, metadata: dict[str, Any] | None = None, key: bytes = KEY, **content: Any) -> Any:
    return json.loads(document([Seen(target, manifest(target, metadata, **content))], key))


def changes(before: dict[str, Any], after: dict[str, Any], target: Target = DEPLOYMENT) -> list[str]:
    """What is told of one object, without its name."""
    old, new = (document([Seen(target, manifest(target, **content))], KEY) for content in (before, after))
    about = f" {target.api_version} {target.kind} {target.namespace}/{target.name}: "
    return [line.replace(about, " ", 1) for line in difference(old, new).splitlines()]


def pod(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": list(containers)}}}}


# --- what is shown


def test_noise_and_what_was_applied_are_left_out_and_the_rest_stays() -> None:
    noise = {"managedFields": [{}], "resourceVersion": "7", "generation": 3, "selfLink": "/x"}
    metadata = {"uid": "u", "labels": {"a": "b"}, "annotations": {APPLIED: "{}", "note": "fine"}}
    assert shown(CONFIG, noise | metadata, data={"LOG_LEVEL": "debug"}) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "settings",
            "namespace": "shop",
            "uid": "u",
            "labels": {"a": "b"},
            "annotations": {"note": "fine"},
        },
        "data": {"LOG_LEVEL": "debug"},
    }


@pytest.mark.parametrize("annotations", [{APPLIED: "{}"}, {}, None])
def test_annotations_of_which_nothing_is_left_are_not_there(annotations: Any) -> None:
    assert "annotations" not in shown(CONFIG, {"annotations": annotations})["metadata"]


def test_what_is_not_there_and_what_could_not_be_read_are_told_apart() -> None:
    named = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": "shop"}}
    assert json.loads(document([Seen(SECRET, None)], KEY)) == named | {"absent": True}
    assert json.loads(document([Seen(SECRET, None, "it is forbidden")], KEY)) == named | {"unread": "it is forbidden"}


def test_the_document_is_yaml_documents_in_the_order_of_the_targets() -> None:
    text = document([Seen(SECRET, None), Seen(CONFIG, None), Seen(DEPLOYMENT, None)], KEY)
    assert [json.loads(part)["kind"] for part in text.split("\n---\n")] == ["Secret", "ConfigMap", "Deployment"]
    assert document([], KEY) == ""


def test_an_object_that_is_shown_is_not_changed() -> None:
    given = manifest(SECRET, {"annotations": {APPLIED: "{}"}, "generation": 1}, data={"a": "b"}, list=["--token", "x"])
    before = json.dumps(given)
    document([Seen(SECRET, given)], KEY)
    assert json.dumps(given) == before


def test_the_digest_names_the_content() -> None:
    assert digest("a") == digest("a") != digest("b")
    assert len(digest("\ud800")) == 64


# --- secrets


@pytest.mark.parametrize("part", ["data", "stringData"])
def test_of_a_secret_the_keys_are_shown_and_no_values(part: str) -> None:
    values = shown(SECRET, None, KEY, **{part: {"user": "admin", "port": "5432", "empty": "", "n": 12345}})[part]
    assert MARK.sub("*", json.dumps(values)) == '{"empty": "", "n": "*", "port": "*", "user": "*"}'


@pytest.mark.parametrize("value", [None, {}])
def test_a_secret_without_data_is_shown_as_it_is(value: Any) -> None:
    assert shown(SECRET, data=value)["data"] == value


@pytest.mark.parametrize("value", ["canary", ["canary"], [{"a": "canary"}], {"a": {"b": ["canary"]}}])
def test_data_of_another_shape_is_hidden_as_well(value: Any) -> None:
    text = document([Seen(SECRET, manifest(SECRET, data=value, stringData=value))], KEY)
    assert "canary" not in text


def test_a_secret_in_another_object_is_hidden_as_well() -> None:
    inner = {"kind": "Secret", "apiVersion": "v1", "data": {"user": "canary"}, "stringData": {"user": "canary"}}
    target = Target("example.io/v1", "Bundle", "shop", "b")
    text = document([Seen(target, manifest(target, spec={"objects": [inner], "text": json.dumps(inner)}))], KEY)
    assert "canary" not in text
    listed = Target("v1", "SecretList", "shop", "all")
    assert "canary" not in document([Seen(listed, manifest(listed, items=[{"data": {"user": "canary"}}]))], KEY)


def test_the_data_of_a_config_map_stays() -> None:
    data = {"color": "blue", "max_tokens": "4096", "data": "x", "url": "http://db:5432/x"}
    assert shown(CONFIG, data=data)["data"] == data


def test_equal_secrets_have_equal_marks_wherever_they_stand() -> None:
    env = [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "API_TOKEN", "value": "other"}]
    found = shown(CONFIG, data={"password": "hunter2", "conf": "password=hunter2"}, env=env)
    assert found["data"]["password"] == found["env"][0]["value"] == found["data"]["conf"].removeprefix("password=")
    assert found["env"][0]["value"] != found["env"][1]["value"]
    assert MARK.fullmatch(found["env"][0]["value"])


def test_another_key_makes_other_marks() -> None:
    first, same, second = (shown(SECRET, data={"a": "YQ=="}, key=key)["data"]["a"] for key in (KEY, KEY, b"other"))
    assert first == same != second


def test_an_environment_says_by_its_names_what_is_secret() -> None:
    env = [
        {"name": "LOG_LEVEL", "value": "debug"},
        {"name": "DB_PASSWORD", "value": "canary-1"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    ]
    found = shown(DEPLOYMENT, **pod({"name": "web", "env": env}))["spec"]["template"]["spec"]["containers"][0]["env"]
    assert MARK.fullmatch(found[1]["value"])
    assert [found[0], found[2]] == [env[0], env[2]]


def test_a_value_that_only_begins_like_a_mark_is_hidden() -> None:
    for value in ("[redacted:", "[redacted:0123abcd] canary", "[redacted:canary]"):
        assert "canary" not in document([Seen(SECRET, manifest(SECRET, data={"a": value}))], KEY)
    assert shown(SECRET, data={"a": "[redacted:0123abcd]"})["data"]["a"] == "[redacted:0123abcd]"


def test_a_number_with_a_secret_name_is_hidden_and_the_document_stays_json() -> None:
    spec = shown(DEPLOYMENT, spec={"password": 12345678, "token": [1, "a", {"b": 2}], "secret": True})["spec"]
    assert MARK.sub("*", json.dumps(spec)) == '{"password": "*", "secret": true, "token": ["*", "*", {"b": 2}]}'


def test_references_to_secrets_stay() -> None:
    spec = {
        "imagePullSecrets": [{"name": "registry"}],
        "volumes": [
            {"name": "token", "secret": {"secretName": "web-tls", "items": [{"key": "password", "path": "p"}]}}
        ],
        "automountServiceAccountToken": False,
        "args": ["--token-file", "/run/token", "--port", "80"],
    }
    assert shown(DEPLOYMENT, spec=spec)["spec"] == spec


# Put together here, so that no scanner takes this file for a leak.
PEM_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjCANARY"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{PEM_LINE}\nQw==\n-----END RSA PRIVATE KEY-----\n"
DOCKER = {"auths": {"r.io": {"username": "u", "auth": b64encode(b"u:canary").decode()}}}
GITHUB = "ghp_" + "cAnAry1" * 6


def canary(number: int) -> str:
    return f"CANARY{number}x"


def full_of_secrets() -> dict[str, Any]:
    """An object with a canary in every place whose name or shape says that it is secret."""
    c = canary
    container = {
        "name": "web",
        "env": [
            {"name": "POSTGRES_PASSWORD", "value": c(1)},
            {"name": "DATABASE_URL", "value": f"postgres://app:{c(2)}@db:5432/x"},
            {"name": "OPTIONS", "value": f'-Xmx1g -Ddb.password={c(3)} -Da="b"'},
        ],
        "args": [f"--token={c(4)}", "--api-key", c(5), "-H", f"Authorization: Bearer {c(6)}", f"https://u:{c(7)}@h/"],
        "command": ["sh", "-c", f"export API_KEY={c(8)}; curl -H 'Authorization: token {c(9)}' \"$URL\" && true"],
        "livenessProbe": {"httpGet": {"httpHeaders": [{"name": "Authorization", "value": f"Basic {c(10)}"}]}},
        "lifecycle": {"preStop": {"exec": {"command": ["mysqladmin", f"--password={c(11)}", "shutdown"]}}},
    }
    return {
        "metadata": {
            "annotations": {
                APPLIED: json.dumps({"data": {"a": c(12)}}),
                "example.io/token": c(13),
                "example.io/config": json.dumps({"client_secret": c(14), "n": [{"password": c(15)}]}),
                "example.io/push-url": f"https://bot:{c(16)}@git.example/x.git",
            },
            "managedFields": [{"manager": c(17)}],
        },
        "data": {
            "password": c(18),
            "app.env": f"A=1\nDB_PASSWORD={c(19)}\nSECRET_KEY='{c(20)}'\nB=2\n",
            "app.yaml": f"db:\n  password: {c(21)}\n  user: app\ntls:\n  private_key: |\n    {c(22)}\n",
            "app.json": json.dumps({"nested": json.dumps({"token": c(23)})}),
            "app.ini": f"[db]\npassword = {c(24)}\n",
            "app.xml": f"<db><password>{c(25)}</password></db>",
            "key.pem": PEM,
            ".dockerconfigjson": json.dumps(DOCKER),
            "note": f"pushes with {GITHUB} as it is",
            "secret.yaml": f"apiVersion: v1\nkind: Secret\nstringData:\n  user: {c(26)}\n",
        },
        "spec": {
            "containers": [container],
            "registry": DOCKER,
            "parameters": [{"name": "db-password", "value": c(27)}, {"key": "api_token", "value": c(28)}],
            "password": c(29),
            "credentials": {"clientSecret": c(30), "accessKey": 1234567890123},
            "template": {"metadata": {"annotations": {APPLIED: c(31)}}, "kind": "Secret", "data": {"a": c(32)}},
            "stringData": {"a": c(33), "b": f"{c(34)}\n---\n{c(35)}"},
        },
    }


HIDDEN = re.compile(
    r"CANARY\d+x|CANARY|cAnAry|Y2FuYXJ5|" + re.escape(DOCKER["auths"]["r.io"]["auth"]) + "|1234567890123"
)


@pytest.mark.parametrize("target", [CONFIG, SECRET, DEPLOYMENT], ids=lambda target: target.kind)
def test_no_canary_is_seen_in_what_is_stored_or_told(target: Target) -> None:
    content = full_of_secrets()
    metadata = content.pop("metadata")
    text = document([Seen(target, manifest(target, metadata, **content))], KEY)
    assert HIDDEN.findall(text) == []
    absent = document([Seen(target, None)], KEY)
    for told in (difference("", text), difference(absent, text), difference(text, absent)):
        assert told
        assert HIDDEN.findall(told) == []
    assert len(json.loads(text)["spec"]["containers"][0]["env"]) == 3


def test_a_secret_that_changes_is_told_by_its_marks() -> None:
    (line,) = changes({"data": {"password": "CANARY1x"}}, {"data": {"password": "CANARY2x"}}, CONFIG)
    assert MARK.sub("*", line) == '~ data.password: "*" -> "*"'
    assert len(set(MARK.findall(line))) == 2


# --- a document can be read again, whatever it holds

PIECES = [
    *[
        "password: ",
        "password=",
        "token=",
        "PASSWORD=",
        '"password":"',
        "Authorization: Basic ",
        "bearer ",
        "://u:",
        "@",
    ],
    *['"a\\"b"', "\\", '"', "'", "`", '"""', "\n", "\n---\n", "--- ", "{", "}", "[", "]", ":", ",", " ", "|", "\t"],
    *["kind: Secret\n", "stringData:\n  ", '"data":{', "[redacted:0123abcd]", "[redacted:", "abc1", "12345", "é", "\0"],
    *["-----BEGIN PRIVATE KEY-----\n", "A" * 30, "-----END PRIVATE KEY-----", PEM, GITHUB, "\u2028", "…", "\ud800"],
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)
LEAVES = TEXTS | st.text(max_size=8) | st.none() | st.booleans() | st.integers() | st.floats()
NAMES = st.sampled_from(["name", "value", "key", "password", "data", "kind", "a", "a.b", "auth"]) | TEXTS
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))


@given(st.dictionaries(NAMES, VALUES, max_size=4))
@example({"a": "token=", "b": "}"})
@example({"a": "password=\\", "b": "x"})
@example({"a": 'password: "a\\"b"'})
@example({"a": "x\n---\ny"})
@example({"password": 1, "b": 2})
@example({"a": PEM[:70], "b": PEM})
def test_a_document_can_always_be_read_again(data: dict[str, Any]) -> None:
    target = Target("v1", "Anything", "shop", "x")
    text = document([Seen(target, manifest(target, data=data)), Seen(SECRET, manifest(SECRET, data=data))], KEY)
    assert text.count("\n---\n") == 1
    assert difference(text, text) == ""
    assert difference("", text).encode()


@given(st.dictionaries(st.text(st.characters(codec="ascii", categories=["Ll"])), LEAVES, max_size=4), TEXTS)
def test_what_stands_beside_a_text_stays_as_it_is(beside: dict[str, Any], text: str) -> None:
    """No value can hide, or show, what stands in the next."""
    alone = shown(CONFIG, data={"x1": "", **beside})["data"]
    together = shown(CONFIG, data={"x1": text, **beside})["data"]
    assert json.dumps(alone | {"x1": 0}) == json.dumps(together | {"x1": 0})


# --- what changed


def test_a_field_that_is_new_gone_or_other_is_a_line() -> None:
    before = {"spec": {"replicas": 2, "old": [], "same": {"a": None}}}
    after = {"spec": {"replicas": 3, "new": {"x": True}, "same": {"a": None}}}
    assert changes(before, after) == ["- spec.old: []", "~ spec.replicas: 2 -> 3", "+ spec.new.x: true"]


def test_nothing_is_told_of_what_is_the_same_or_changes_by_itself() -> None:
    old = document([Seen(CONFIG, manifest(CONFIG, {"resourceVersion": "1"}, data={"a": "b", "c": "d"}))], KEY)
    new = document([Seen(CONFIG, manifest(CONFIG, {"resourceVersion": "2"}, data={"c": "d", "a": "b"}))], KEY)
    assert difference(old, new) == difference("", "") == ""


def test_an_item_is_known_by_its_name_wherever_it_stands() -> None:
    web, side = {"name": "web", "image": "web:1"}, {"name": "side", "image": "side:1"}
    assert changes(pod(web), pod(side, web)) == [
        '+ spec.template.spec.containers[side].image: "side:1"',
        '+ spec.template.spec.containers[side].name: "side"',
    ]
    assert changes(pod(web, side), pod(side, web)) == []
    (line,) = changes(pod(web, side), pod(side, web | {"image": "web:2"}))
    assert line == '~ spec.template.spec.containers[web].image: "web:1" -> "web:2"'


@pytest.mark.parametrize("items", [["a", "b"], [{"name": "a"}, {"port": 1}], [{"name": "a"}, {"name": "a", "port": 1}]])
def test_items_without_names_of_their_own_are_known_by_their_place(items: list[Any]) -> None:
    assert [line.split(":")[0] for line in changes({"l": items[:1]}, {"l": items})][-1].startswith("+ l[1]")


def test_objects_that_appear_and_vanish_are_told() -> None:
    there, gone = document([Seen(CONFIG, manifest(CONFIG, data={"a": "b"}))], KEY), document([Seen(CONFIG, None)], KEY)
    appeared, vanished = difference(gone, there).splitlines(), difference(there, gone).splitlines()
    about = "v1 ConfigMap shop/settings"
    assert appeared == [f"- {about}: absent: true", f'+ {about}: data.a: "b"']
    assert sorted(vanished) == [f"+ {about}: absent: true", f'- {about}: data.a: "b"']


def test_without_a_look_before_everything_is_new() -> None:
    text = document([Seen(CONFIG, manifest(CONFIG, data={"a": "b"}))], KEY)
    lines = difference("", text).splitlines()
    assert len(lines) == 5
    assert all(line.startswith("+ v1 ConfigMap shop/settings: ") for line in lines)


def test_each_target_is_compared_with_itself() -> None:
    node = Target("v1", "Node", "", "n1")
    old = document([Seen(node, manifest(node, x=1)), Seen(CONFIG, manifest(CONFIG, x=1))], KEY)
    new = document([Seen(node, manifest(node, x=1)), Seen(CONFIG, manifest(CONFIG, x=2))], KEY)
    assert difference(old, new) == "~ v1 ConfigMap shop/settings: x: 1 -> 2"


def test_a_target_whose_name_imitates_another_does_not_hide_its_changes() -> None:
    imitation = Seen(Target("v1", "ConfigMap", "", "shop/settings"), None, "it has no name that an object can have")
    old = document([Seen(CONFIG, manifest(CONFIG, x=1)), imitation], KEY)
    new = document([Seen(CONFIG, manifest(CONFIG, x=2)), imitation], KEY)
    assert difference(old, new) == "~ v1 ConfigMap shop/settings: x: 1 -> 2"


def test_names_with_dots_are_not_taken_for_paths() -> None:
    assert changes({"x": {"a.b": 1, "a": {"b": 2}}}, {"x": {"a.b": 3, "a": {"b": 2}}}) == ["~ x.a.b: 1 -> 3"]


def test_a_change_far_into_a_long_value_is_told_and_shown() -> None:
    text = "".join(f"line {number}\n" for number in range(500))
    (line,) = changes({"data": {"c": text}}, {"data": {"c": text + "LEVEL=debug"}}, CONFIG)
    assert line.startswith("~ data.c: …")
    assert line.endswith('LEVEL=debug"')
    assert len(line) < 450
    (line,) = changes({"data": {"c": f"{text}INFO{text}"}}, {"data": {"c": f"{text}WARN{text}"}}, CONFIG)
    assert "INFO" in line
    assert "WARN" in line
    assert len(line) < 450


def test_a_long_value_is_cut() -> None:
    (line,) = changes({}, {"x": "y" * 10_000})
    assert line == '+ x: "' + "y" * 159 + "…"
    assert len(changes({"x": "y" * 10_000}, {"x": "z" * 10_000})[0]) < 400


def test_many_changes_are_counted_and_not_listed() -> None:
    lines = changes({}, {"x": {f"k{number}": number for number in range(1000)}})
    assert len(lines) == 401
    assert lines[-1] == "… and 600 changes more"
    assert len(changes({}, {"x": list(range(400))})) == 400


def test_nobody_writes_lines_of_their_own_by_a_name() -> None:
    assert len(changes({}, {"x": {"a\n- v1 Node n1: y": 1, "b\u2028" + "c" * 10_000: 2}})) >= 2
    target = Target("v1", "Pod", "shop", "a\n+ v1 Pod shop/b: x: 1")
    told = difference("", document([Seen(target, None, "it has no name that an object can have")], KEY))
    assert all(line.startswith("+ v1 Pod shop/a\\n") for line in told.split("\n"))
    told = difference("", document([Seen(CONFIG, manifest(CONFIG, x={"a\nb": 1, "k" * 10_000: 2}))], KEY))
    assert len(told.split("\n")) == 6
    assert len(told) < 2000


# --- however large it is


def test_an_object_may_be_nested_as_deeply_as_json_can_be_read() -> None:
    deep: dict[str, Any] = {"password": "canary"}
    for _ in range(600):
        deep = {"x": deep}
    text = document([Seen(SECRET, manifest(SECRET, spec=deep, data=deep))], KEY)
    assert "canary" not in text
    assert difference("", text).count(".x") >= 60


def test_a_large_object_takes_less_than_seconds() -> None:
    """Measured: 0.4 s."""
    spec = {f"n{i}": {f"key{j}": f"some value {i} {j}" for j in range(50)} for i in range(100)}
    seen = Seen(CONFIG, manifest(CONFIG, spec=spec))
    assert cpu_seconds(lambda: difference("", document([seen], KEY))) < 5
