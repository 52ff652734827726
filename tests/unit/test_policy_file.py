"""The policy file: read as it is documented, and every mistake in it named."""

from dataclasses import replace
from pathlib import Path

import pytest

from shared.domain.job import JobPhase
from shared.domain.policy import Policy, Rule
from shared.domain.task import Target
from shared.policy_file import read
from tests.architecture.markdown import fences
from tests.architecture.tree import ROOT
from tests.unit.domain.test_policy import RUN

GOOD = "rules:\n- name: ci\n  callers: [ci]\n  modes: [direct]\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


def policy(path: Path, text: str) -> Policy:
    path.write_text(text)
    return read(path)


def mistakes(path: Path, text: str) -> list[str]:
    with pytest.raises(ValueError, match=r".") as refused:
        policy(path, text)
    return str(refused.value).removeprefix("is wrong: ").split("; ")


def with_line(line: str) -> str:
    return f"{GOOD}  {line}\n"


# --- what is right


def test_the_documented_example_means_what_the_text_around_it_says(path: Path) -> None:
    example = policy(path, *fences("docs/policy.md", "yaml"))
    image, account = "registry.example/codex-runner:7", "codex-runner"
    shop = Target("apps/v1", "Deployment", "shop-a", "web")
    assert example.judge(replace(RUN, targets=(shop,)), image, account).allowed
    assert example.judge(replace(RUN, caller="team-shop-x", mode="argo"), "", "codex-workflow").allowed
    verdict = example.judge(RUN, image, account)
    assert (verdict.rule, verdict.attempts) == ("ci", 3)
    assert verdict.retry_on == (JobPhase.EVICTED, JobPhase.LOST)
    for refused, what in (
        (replace(RUN, caller="team-pay"), "no rule names the caller team-pay"),
        (replace(RUN, mode="temporal"), "it does not allow mode temporal"),
        (replace(RUN, targets=(replace(shop, namespace="shop-prod"),)), "it does not allow namespace shop-prod"),
        (replace(RUN, targets=(replace(shop, kind="DaemonSet"),)), "it does not allow kind apps/DaemonSet"),
        (
            replace(RUN, targets=(replace(shop, namespace=""),)),
            "it does not allow kind apps/Deployment without a namespace",
        ),
    ):
        verdict = example.judge(refused, image, account)
        assert (verdict.allowed, verdict.reason) == (False, what)
    assert example.judge(RUN, "elsewhere/codex-runner:7", account).reason.startswith("it does not allow image ")
    assert example.judge(RUN, image, "default").reason == "it does not allow service account default"


def test_the_policy_of_the_laptop_lets_everybody_run_and_touch_no_cluster(path: Path) -> None:
    laptop = read(ROOT / "shared/local/policy.yaml")
    assert laptop.judge(replace(RUN, caller="whoever"), "", "").allowed
    assert not laptop.judge(replace(RUN, targets=(Target("v1", "Node", "", "n"),)), "", "").allowed


def test_what_a_rule_does_not_say_is_denied_and_tried_once(path: Path) -> None:
    assert policy(path, GOOD).rules == [Rule("ci", ("ci",), ("direct",))]
    assert policy(path, GOOD + "  namespaces:\n  attempts:\n  retryOn:\n").rules == policy(path, GOOD).rules


def test_no_rules_are_a_policy_that_denies_everything(path: Path) -> None:
    assert policy(path, "rules: []").rules == []


def test_a_rule_may_name_every_end_after_which_another_attempt_follows_or_none(path: Path) -> None:
    every = policy(path, with_line("retryOn: [evicted, lost, unstarted, stopped]")).rules[0]
    assert every.retry_on == (JobPhase.EVICTED, JobPhase.LOST, JobPhase.UNSTARTED, JobPhase.STOPPED)
    assert policy(path, with_line("retryOn: []")).rules[0].retry_on == ()


@pytest.mark.parametrize(("attempts", "expected"), [("1", 1), ("10", 10), ("'3'", 3), ("07", 7)])
def test_attempts_are_a_number_from_one_to_ten(path: Path, attempts: str, expected: int) -> None:
    assert policy(path, with_line(f"attempts: {attempts}")).rules[0].attempts == expected


def test_in_modes_a_star_and_a_denial_mean_what_they_mean_everywhere(path: Path) -> None:
    open_ = policy(path, GOOD.replace("[direct]", "['*', '!argo']"))
    assert open_.judge(RUN, "", "").allowed
    assert not open_.judge(replace(RUN, mode="argo"), "", "").allowed


def test_names_are_texts_whatever_yaml_makes_of_them(path: Path) -> None:
    assert policy(path, GOOD.replace("[ci]", "[no, 010, 1e3]")).rules[0].callers == ("no", "010", "1e3")


def test_the_version_follows_the_content(path: Path, tmp_path: Path) -> None:
    first = policy(path, GOOD).version
    assert policy(tmp_path / "same.yaml", GOOD).version == first
    assert policy(path, GOOD + "# a comment is content too\n").version != first


# --- what is wrong

NAMELESS = "must be a list of names, in which * stands for anything"
NUMBER = "rules.0.attempts must be a number from 1 to 10"
CAUSES = "rules.0.retryOn must be a list of evicted, lost, unstarted, stopped"
MODES = "rules.0.modes must be among direct, argo, temporal, or *"
NAME = "rules.0.name must be a DNS label, and not default"
LISTS = ("callers", "modes", "namespaces", "kinds", "clusterKinds", "images", "serviceAccounts")


@pytest.mark.parametrize("key", LISTS)
@pytest.mark.parametrize("value", ["text", "{}", "{a: b}", "''", "[[a]]", "[{a: b}]", "['']", "['!']", "[null]"])
def test_a_list_that_is_none_is_a_mistake(path: Path, key: str, value: str) -> None:
    given = {"name": "ci", "callers": "[ci]", "modes": "[direct]", key: value}
    found = mistakes(path, "rules:\n- " + "\n  ".join(f"{name}: {each}" for name, each in given.items()))
    assert f"rules.0.{key} {NAMELESS}" in found


@pytest.mark.parametrize("value", ["0", "11", "abc", "-1", "1.5", "1e0", "''", "[]", "{}", "[1]", "100", "٣", "010"])
def test_attempts_that_are_no_such_number_are_a_mistake(path: Path, value: str) -> None:
    assert mistakes(path, with_line(f"attempts: {value}")) == [NUMBER]


@pytest.mark.parametrize(
    "value", ["evicted", "[failed]", "[Evicted]", "[[lost]]", "[{}]", "{}", "''", "[null]", "['*']"]
)
def test_an_end_after_which_nothing_may_follow_is_a_mistake(path: Path, value: str) -> None:
    assert mistakes(path, with_line(f"retryOn: {value}")) == [CAUSES]


@pytest.mark.parametrize("mode", ["dirct", "Direct", "'!dirct'", "'? '"])
def test_a_mode_that_there_is_not_is_a_mistake(path: Path, mode: str) -> None:
    assert mistakes(path, GOOD.replace("direct", mode)) == [MODES]


@pytest.mark.parametrize(
    "name", ["default", "", "null", "-ci", "ci-", "CI", "a.b", "a" * 64, "[]", "{}", "'a\n\n\n  b'"]
)
def test_a_name_that_is_no_label_is_a_mistake(path: Path, name: str) -> None:
    assert mistakes(path, GOOD.replace("name: ci", f"name: {name}")) == [NAME]


def test_what_a_rule_must_have_is_missed(path: Path) -> None:
    assert mistakes(path, "rules:\n- kinds: [Pod]") == [
        NAME,
        "rules.0.callers must name at least one",
        "rules.0.modes must name at least one",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["rules must be a list: [] denies everything"]),
        ("rules:", ["rules must be a list: [] denies everything"]),
        ("rules: {}", ["rules must be a list: [] denies everything"]),
        ("rules: all", ["rules must be a list: [] denies everything"]),
        ("rules: [ci]", ["rules.0 must be a map"]),
        ("rules: [[], null]", ["rules.0 must be a map", "rules.1 must be a map"]),
        ("rules: []\nrule: []\nRules: []", ["rule is not a known key", "Rules is not a known key"]),
        (GOOD + "  image: [x]\n", ["rules.0.image is not a known key"]),
        (GOOD + "  callers: ['*']\n", ["rules.0.callers is there twice"]),
        ("rules: []\n" + GOOD, ["rules is there twice"]),
        (GOOD + GOOD.removeprefix("rules:\n"), ["the name ci is there twice"]),
        ("- name: ci", ["must be a map of keys"]),
        ("rules", ["must be a map of keys"]),
        ("rules: ]", ["is not YAML: see line 1"]),
        ("rules: []\n\t- x", ["is not YAML: see line 2"]),
        ("rules: []\n---\nrules: []", ["holds more than one document"]),
        ("rules: &a [*a]", ["uses an anchor, an alias or a tag in line 1: write the value out"]),
        (
            "x: 1\nrules: !!python/object:os.system []",
            ["uses an anchor, an alias or a tag in line 2: write the value out"],
        ),
        ("? [a]\n: b", ["has a key that is no name in line 1"]),
        ("rules: " + "[" * 100_000, ["is nested deeper than 16 levels"]),
        ("rules: " + "{a: " * 100_000, ["is nested deeper than 16 levels"]),
        ('rules: "\\0"', ["holds the character U+0000 in line 1"]),
        ("rules: \0", ["is not YAML"]),
        ("#" * 1_100_000, ["is larger than 1048576 bytes"]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_mistake_is_named(path: Path, text: str, found: list[str]) -> None:
    assert mistakes(path, text) == found


def test_every_mistake_is_named_at_once_and_in_the_order_of_the_file(path: Path) -> None:
    text = "extra: 1\nrules:\n- {name: a, callers: [a], modes: [x], attempts: 0}\n- {name: b, kind: [Pod], retryOn: x}"
    assert mistakes(path, text) == [
        "extra is not a known key",
        MODES,
        NUMBER,
        "rules.1.kind is not a known key",
        "rules.1.callers must name at least one",
        "rules.1.modes must name at least one",
        CAUSES.replace("rules.0", "rules.1"),
    ]


def test_rules_without_a_name_are_not_taken_for_one_rule(path: Path) -> None:
    nameless = "- {callers: [a], modes: [direct]}\n"
    assert mistakes(path, f"rules:\n{nameless}{nameless}") == [NAME, NAME.replace("rules.0", "rules.1")]


def test_a_file_that_is_not_there_or_no_text_is_a_mistake(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^cannot be read: no such file or directory$"):
        read(path)
    with pytest.raises(ValueError, match=r"^is not a file$"):
        read(tmp_path)
    path.write_bytes(b"rules: \xff")
    with pytest.raises(ValueError, match=r"^is not UTF-8$"):
        read(path)
