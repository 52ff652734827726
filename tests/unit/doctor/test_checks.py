"""A healthy install has nothing wrong; and of each thing that may be wrong, exactly that is found."""

import re

import pytest

from shared.doctor.checks import Check, Found, NotLooked, Unseen, check, examine
from shared.doctor.examination import CHECKS
from shared.domain.cluster import Unlisted
from shared.domain.condition import Function
from tests.unit.doctor.breaking import previous_since, setting
from tests.unit.doctor.breaking_cluster import plugin
from tests.unit.doctor.breaks import CASES, Case
from tests.unit.doctor.installed import Install


def test_a_healthy_install_has_nothing_wrong_and_everything_is_looked_at() -> None:
    report = examine(CHECKS, Install().parts())
    assert report.findings == ()
    assert report.not_looked == ()
    assert report.looked == len(CHECKS) > 60
    assert report.exit_code == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.check)
def test_what_is_broken_is_found_and_nothing_else(case: Case) -> None:
    install = Install()
    case.by(install)
    report = examine(CHECKS, install.parts())
    assert {finding.check for finding in report.findings} == {case.check, *case.also}
    assert report.exit_code == 1


def test_every_check_has_something_that_breaks_it() -> None:
    assert {case.check for case in CASES} | {"knative-missing"} == {each.name for each in CHECKS}
    assert len({each.name for each in CHECKS}) == len(CHECKS)


def test_a_cluster_without_knative_is_said_to_be_without_it() -> None:
    install = Install()
    install.objects |= dict.fromkeys(("Broker", "Trigger"), Unlisted.NOT_SERVED)
    report = examine(CHECKS, install.parts())
    assert "knative-missing" in {finding.check for finding in report.findings}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.check)
def test_a_finding_says_what_to_do_and_shows_no_secret(case: Case) -> None:
    install = Install()
    case.by(install)
    for finding in examine(CHECKS, install.parts()).findings:
        assert len(finding.what) > 10
        assert len(finding.fix) > 10
        assert re.match("[A-Z]", finding.why) and finding.why.endswith(".")
        assert not re.search("0123456789abcdef|:secret@|:password@|a-key", f"{finding}")


@pytest.mark.parametrize("image", ["cilium/cilium:v1.18", "kindest/kindnetd:v20241212-9f82dd49"])
def test_a_plugin_that_enforces_is_known(image: str) -> None:
    install = Install()
    plugin(image)(install)
    assert examine(CHECKS, install.parts()).findings == ()


def test_a_plugin_that_nobody_knows_is_not_judged() -> None:
    install = Install()
    plugin("registry.example/own-network:1")(install)
    report = examine(CHECKS, install.parts())
    assert report.findings == ()
    assert [missed.checks for missed in report.not_looked] == [("network-policies-not-enforced",)]
    assert report.exit_code == 0


@pytest.mark.parametrize("kind", ["Secret", "ClusterRoleBinding", "Trigger", "Service", "Namespace", "NetworkPolicy"])
def test_what_may_not_be_read_is_said_and_nothing_is_made_up_of_it(kind: str) -> None:
    install = Install()
    install.objects[kind] = Unlisted.FORBIDDEN
    report = examine(CHECKS, install.parts())
    assert report.findings == ()
    assert any(missed.wanted and Unlisted.FORBIDDEN in missed.why for missed in report.not_looked)
    assert report.exit_code == 2


def test_a_check_that_breaks_hides_no_other() -> None:
    def breaks(_: object) -> list[Found]:
        raise KeyError("a-secret")

    def finds(_: object) -> list[Found]:
        return [Found("something is wrong", "mend it")]

    checks = [Check("first", ("part",), "Why.", breaks), check("second", "part", why="Why.")(finds)]
    report = examine(checks, {"part": 1})
    assert [finding.check for finding in report.findings] == ["second"]
    assert [(missed.checks, missed.why) for missed in report.not_looked] == [(("first",), "the check broke (KeyError)")]


def test_a_part_that_nobody_looked_at_is_never_passed_in_silence() -> None:
    one = Check("one", ("part",), "Why.", lambda _: [])
    assert examine([one], {}).exit_code == 2  # nothing at all was looked at
    two = Check("two", ("other",), "Why.", lambda _: [])
    asked = examine([one, two], {"part": Unseen("no right", wanted=True), "other": 1})
    unasked = examine([one, two], {"part": Unseen("not named", wanted=False), "other": 1})
    assert (asked.exit_code, unasked.exit_code) == (2, 0)
    assert [missed.checks for missed in unasked.not_looked] == [("one",)]


def test_a_check_that_cannot_judge_says_why() -> None:
    def cannot(_: object) -> list[Found]:
        raise NotLooked("there is nothing to see")

    (missed,) = examine([Check("one", ("part",), "Why.", cannot)], {"part": 1}).not_looked
    assert (missed.checks, missed.why, missed.wanted) == (("one",), "there is nothing to see", True)


def test_settings_of_here_and_of_a_cluster_are_not_compared_with_each_other() -> None:
    parts = Install().parts()
    here = Function("callback", {"FACTEUR_TOKEN_SECRET": "f1e2d3c4b5a69788" * 4, "K_SINK": "http://127.0.0.1:1"})
    deployed = parts["settings"]
    assert isinstance(deployed, tuple)
    assert examine(CHECKS, {**parts, "settings": (here, *deployed)}).findings == ()


def test_a_previous_secret_of_yesterday_is_well() -> None:
    install = Install()
    previous_since("2027-01-14T08:00:00Z")(install)
    assert examine(CHECKS, install.parts()).findings == ()


def test_a_secret_that_is_being_changed_is_well() -> None:
    install = Install()
    old, new = "0123456789abcdef" * 4, "fedcba9876543210" * 4
    setting("FACTEUR_TOKEN_SECRET", new, "callback")(install)
    setting("FACTEUR_TOKEN_SECRET_PREVIOUS", old, "callback")(install)
    (finding,) = examine(CHECKS, install.parts()).findings  # the others do not know the new one
    assert finding.check == "token-secret-differs"
    assert "callback" not in finding.what
    for function in ("codex-intake", "discord-interaction", "dispatcher", "memory-query"):
        setting("FACTEUR_TOKEN_SECRET_PREVIOUS", new, function)(install)
    assert examine(CHECKS, install.parts()).findings == ()
