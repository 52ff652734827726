"""The end-to-end suite passes against a twin, as it does against any other system: it knows URLs and tokens alone."""

import pytest

from tests.e2e import target
from tests.flow.laptop import Laptop
from tests.flow.suite import suite


@pytest.mark.timeout(1500)
def test_the_suite_passes_against_a_twin_and_again_against_the_same(laptop: Laptop) -> None:
    named = {
        target.BASE_URL: laptop.info.url,
        target.TOKEN: laptop.info.api_token,
        target.POSTGRES_DSN: laptop.info.dsn,
        target.DISCORD_KEY: laptop.info.discord_private_key,
    }
    for _ in range(2):
        done = suite(**named)
        assert done.returncode == 0, done.stdout
        assert "skipped" not in done.stdout
    assert laptop.rows("SELECT count(*) AS n FROM codex_kb.dead_letters") == [{"n": 0}]


@pytest.mark.timeout(1500)
def test_the_suite_says_what_names_a_system() -> None:
    done = suite()
    assert done.returncode == 2
    assert f"{target.BASE_URL} must be set" in done.stderr and f"{target.TOKEN} must be set" in done.stderr
    wrong = suite(**{target.BASE_URL: "localhost:8080", target.TOKEN: "t", target.DISCORD_KEY: "a secret"})
    assert wrong.returncode == 2
    assert f"{target.BASE_URL} must be a URL" in wrong.stderr and "a secret" not in wrong.stderr
