"""Who may have what launched: nothing, unless a rule says so."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.job import JobPhase
from shared.domain.policy import Policy, Rule, allows
from shared.domain.run import RunState
from shared.domain.task import Run, Target

RUN = Run(
    id=UUID(int=1),
    attempt=1,
    status=RunState.PREPARED,
    caller="ci",
    tenant="default",
    stage="implementation",
    mode="direct",
    prompt="p",
    repository="",
    base="",
    head="",
    deadline_seconds=60,
    traceparent=None,
)
RULE = Rule("ci", ["ci"], ["direct"], images=["r/runner:*"], service_accounts=["runner"])
OPEN = Rule("open", ["*"], ["*"], ["*"], ["*"], ["*"], ["*"], ["*"])
DEPLOYMENT = Target("apps/v1", "Deployment", "shop-a", "web")
CONFIG = Target("v1", "ConfigMap", "shop-a", "settings")
NODE = Target("v1", "Node", "", "n1")
CLUSTER_ROLE = Target("rbac.authorization.k8s.io/v1", "ClusterRole", "", "admin")


def objections(
    rule: Rule, *targets: Target, image: str = "r/runner:1", account: str = "runner", **run: Any
) -> list[str]:
    return list(rule.objections(replace(RUN, targets=targets, **run), image, account))


# --- which rule decides


def test_a_policy_without_rules_denies_everything() -> None:
    verdict = Policy([], "v1").judge(RUN, "", "")
    assert not verdict.allowed
    assert (verdict.rule, verdict.reason, verdict.version) == ("default", "no rule names the caller ci", "v1")
    assert (verdict.attempts, verdict.retry_on) == (1, ())


def test_a_caller_that_no_rule_names_is_denied_by_default() -> None:
    verdict = Policy([RULE], "v1").judge(replace(RUN, caller="mallory"), "r/runner:1", "runner")
    assert (verdict.allowed, verdict.rule, verdict.reason) == (False, "default", "no rule names the caller mallory")


def test_the_first_rule_that_objects_to_nothing_allows() -> None:
    strict = replace(RULE, name="strict", modes=["argo"])
    policy = Policy([strict, RULE, replace(RULE, name="later")], "v1")
    verdict = policy.judge(RUN, "r/runner:1", "runner")
    assert (verdict.allowed, verdict.rule, verdict.reason, verdict.version) == (True, "ci", "", "v1")


def test_if_all_object_the_first_of_them_is_named_with_its_first_objection() -> None:
    others = replace(OPEN, name="others", callers=["bob"])
    first, second = replace(RULE, name="first", modes=["argo"], images=[]), replace(RULE, name="second", images=[])
    verdict = Policy([others, first, second], "v1").judge(RUN, "r/runner:1", "runner")
    assert (verdict.allowed, verdict.rule, verdict.reason) == (False, "first", "it does not allow mode direct")


def test_a_rule_that_does_not_name_the_caller_is_never_named_to_it() -> None:
    secret = replace(OPEN, name="secret", callers=["bob"])
    assert Policy([secret], "v1").judge(RUN, "", "").rule == "default"


def test_the_verdict_says_how_often_and_after_what_it_may_be_tried_again() -> None:
    rule = replace(RULE, attempts=3, retry_on=[JobPhase.LOST])
    verdict = Policy([rule], "v1").judge(RUN, "r/runner:1", "runner")
    assert (verdict.attempts, verdict.retry_on) == (3, (JobPhase.LOST,))
    denied = Policy([rule], "v1").judge(RUN, "other", "runner")
    assert (denied.attempts, denied.retry_on) == (1, ())


def test_another_attempt_follows_an_eviction_or_a_loss_unless_the_rule_says_otherwise() -> None:
    assert (RULE.attempts, RULE.retry_on) == (1, (JobPhase.EVICTED, JobPhase.LOST))


# --- globs


@pytest.mark.parametrize(
    ("globs", "name", "expected"),
    [
        ([], "shop", False),
        (["shop"], "shop", True),
        (["shop"], "shop-a", False),
        (["shop"], "my-shop", False),
        (["shop"], "Shop", False),
        (["shop"], "shop\n", False),
        (["shop-*"], "shop-", True),
        (["shop-*"], "shop", False),
        (["*"], "", True),
        (["*"], "a\nb", True),
        (["!shop"], "shop", False),
        (["!shop"], "other", False),
        (["*", "!shop-prod"], "shop-prod", False),
        (["!shop-prod", "*"], "shop-prod", False),
        (["shop-prod", "!shop-prod"], "shop-prod", False),
        (["*", "!*-prod"], "shop-prod", False),
        (["*", "!*-prod"], "shop-test", True),
        (["r.io/a/*"], "r.io/a/b/c:1@sha256:00", True),
    ],
)
def test_a_name_is_allowed_by_a_glob_that_no_denial_takes_back(globs: list[str], name: str, expected: bool) -> None:
    assert allows(globs, name) is expected


def test_a_star_in_a_name_is_a_letter_like_any_other() -> None:
    assert not allows(["shop"], "*")
    assert not allows(["*", "!shop-*"], "shop-*")


@pytest.mark.parametrize(
    ("field", "denied"),
    [
        ("callers", {"caller": "ci-bad"}),
        ("modes", {"mode": "x-bad"}),
        ("images", {"image": "r/bad"}),
        ("service_accounts", {"account": "bad"}),
        ("namespaces", {"target": Target("v1", "Pod", "shop-bad", "x")}),
        ("kinds", {"target": Target("v1", "bad", "shop", "x")}),
        ("cluster_kinds", {"target": Target("v1", "bad", "", "x")}),
    ],
)
def test_a_denial_counts_in_every_list(field: str, denied: dict[str, Any]) -> None:
    run = replace(RUN, targets=(denied["target"],) if "target" in denied else ())
    run = replace(run, caller=denied.get("caller", "ci"), mode=denied.get("mode", "direct"))
    asked = run, denied.get("image", "r/good"), denied.get("account", "good")
    assert Policy([OPEN], "v1").judge(*asked).allowed
    denying: dict[str, Any] = {field: ["*", "!*bad"]}
    assert not Policy([replace(OPEN, **denying)], "v1").judge(*asked).allowed


# --- what is judged


def test_an_image_or_account_that_a_template_names_is_not_judged() -> None:
    bare = Rule("ci", ["ci"], ["direct"])
    assert objections(bare, image="", account="") == []
    assert objections(bare) == ["image r/runner:1", "service account runner"]


def test_a_kind_is_written_with_its_group_and_without_its_version() -> None:
    rule = replace(RULE, namespaces=["shop-*"], kinds=["ConfigMap", "apps/Deployment"])
    assert objections(rule, DEPLOYMENT, CONFIG) == []
    assert objections(rule, replace(DEPLOYMENT, api_version="apps/v2alpha1")) == []
    assert objections(rule, replace(DEPLOYMENT, api_version="v1")) == ["kind Deployment"]
    assert objections(rule, replace(DEPLOYMENT, api_version="evil.io/v1")) == ["kind evil.io/Deployment"]
    assert objections(rule, replace(CONFIG, api_version="apps/v1")) == ["kind apps/ConfigMap"]
    assert objections(rule, replace(CONFIG, kind="configmap")) == ["kind configmap"]


def test_a_kind_of_a_namespace_says_nothing_about_one_without() -> None:
    inside, outside = replace(RULE, namespaces=["*"], kinds=["*"]), replace(RULE, cluster_kinds=["*"])
    assert objections(inside, NODE, CLUSTER_ROLE) == [
        "kind Node without a namespace",
        "kind rbac.authorization.k8s.io/ClusterRole without a namespace",
    ]
    assert objections(outside, NODE, CLUSTER_ROLE) == []
    assert objections(outside, CONFIG) == ["namespace shop-a", "kind ConfigMap"]


def test_one_target_that_is_not_allowed_denies_the_task() -> None:
    rule = replace(RULE, namespaces=["shop-*", "!shop-prod"], kinds=["*"])
    assert objections(rule, CONFIG, replace(CONFIG, namespace="shop-prod"), DEPLOYMENT) == ["namespace shop-prod"]


# --- whatever the rules are

LETTERS = st.text("ab*!", max_size=4)
GLOBS = st.lists(LETTERS, max_size=4)
NAMES = st.text("ab*!", max_size=4)


@given(GLOBS, LETTERS, NAMES)
def test_one_more_denial_never_allows_more(globs: list[str], denial: str, name: str) -> None:
    assert allows(globs, name) or not allows([*globs, f"!{denial}"], name)


@given(GLOBS, NAMES)
def test_the_order_of_globs_means_nothing(globs: list[str], name: str) -> None:
    assert allows(globs, name) == allows(globs[::-1], name)


@given(NAMES, NAMES, NAMES, st.lists(st.builds(Target, NAMES, NAMES, NAMES, NAMES), max_size=2))
def test_without_rules_nobody_gets_anything(caller: str, mode: str, image: str, targets: list[Target]) -> None:
    run = replace(RUN, caller=caller, mode=mode, targets=tuple(targets))
    assert not Policy([], "v1").judge(run, image, "").allowed


@given(st.lists(st.builds(Rule, st.just("r"), GLOBS, GLOBS, images=GLOBS), max_size=3), NAMES, NAMES)
def test_what_is_allowed_is_allowed_by_one_rule_alone(rules: list[Rule], caller: str, image: str) -> None:
    run = replace(RUN, caller=caller, mode="a")
    alone = [Policy([rule], "v1").judge(run, image, "").allowed for rule in rules]
    assert Policy(rules, "v1").judge(run, image, "").allowed == any(alone)
