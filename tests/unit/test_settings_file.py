"""The configuration file: text as it stands, one parser with the environment, and nothing strange let in."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from functions.codex_intake.orchestrator_settings import OrchestratorSettings
from functions.discord_interaction.settings import Settings as DiscordSettings
from shared.setting_values import flag, http_url, integer, switch, text_list
from shared.settings import CONFIG_FILE, Found, SettingsError, check, env, load
from tests.component.functions import settings

Write = Callable[[str | bytes], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    dsn: str = env("FACTEUR_POSTGRES_DSN")
    sink: str = env("K_SINK", http_url)
    dimension: int = env("OPENAI_EMBEDDING_DIMENSION", integer(1, 4000), default=3072)
    command: tuple[str, ...] = env("FACTEUR_RUNNER_COMMAND", text_list, default=())
    opened: bool = env("FACTEUR_CODEX_TASKS_OPEN", switch, default=False)
    disabled: bool = env("FACTEUR_DISABLE_DISPATCHER", flag, default=False)


WELL = "postgres: {dsn: postgresql://host/db}\nbroker: {sink: http://broker}\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the file, and gives the environment that names it."""

    def written(text: str | bytes) -> dict[str, str]:
        path = tmp_path / "facteur.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return {CONFIG_FILE: str(path)}

    return written


def mistakes(environ: dict[str, str], cls: type = Settings) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        load(cls, environ)
    return refused.value.mistakes


def test_the_file_is_read_and_the_environment_wins(write: Write) -> None:
    environ = write(WELL + "openai: {embedding_dimension: 256}\nrunner: {command: [codex, exec]}\n")
    settings = load(Settings, environ | {"K_SINK": "http://other", "OPENAI_EMBEDDING_DIMENSION": " "})
    assert (settings.dsn, settings.sink) == ("postgresql://host/db", "http://other")
    assert (settings.dimension, settings.command) == (256, ("codex", "exec"))


def test_lists_may_also_be_written_as_in_the_environment(write: Write) -> None:
    assert load(Settings, write(WELL + """runner: {command: '["a", "b"]'}""")).command == ("a", "b")


@pytest.mark.parametrize("nothing", ["", "~", "null", '""', "'  '"])
def test_empty_is_unset(write: Write, nothing: str) -> None:
    settings = load(Settings, write(WELL + f"openai:\n  embedding_dimension: {nothing}\nrunner:\nredis: ~\n"))
    assert settings.dimension == 3072


def test_no_scalar_is_taken_for_anything_but_text(write: Write) -> None:
    command = "[no, 010, 1e3, 2001-01-01, 0x1F, 12:30:00, yes, .5]"
    assert load(Settings, write(WELL + f"runner: {{command: {command}}}")).command == tuple(command[1:-1].split(", "))


@pytest.mark.parametrize(
    ("said", "meant"), [("true", True), ("yes", True), ("on", True), ("1", True), ("No", False), ("off", False)]
)
def test_switches_are_what_they_say(write: Write, said: str, meant: bool) -> None:
    assert load(Settings, write(WELL + f"codex_tasks: {{open: {said}}}")).opened is meant


@pytest.mark.parametrize(("said", "meant"), [("1", True), ("off", True), ("False", False), ("no", False), ("0", False)])
def test_the_earlier_flag_is_true_unless_it_is_denied(write: Write, said: str, meant: bool) -> None:
    assert load(Settings, write(WELL + f"dispatcher: {{disabled: {said}}}")).disabled is meant


def test_the_case_of_names_inside_maps_is_kept(write: Write) -> None:
    environ = write("argo: {parameters: {rawEvent: x, rawevent: y, n: 3}}\nrole_map: {plan: ['123456789012345678']}")
    assert load(OrchestratorSettings, environ).parameters == {"rawEvent": "x", "rawevent": "y", "n": "3"}
    more = settings("postgresql://h/d", "http://b", Path("/nonexistent")) | environ
    assert load(DiscordSettings, more).role_map.roles == {"plan": {"123456789012345678"}}


def test_every_mistake_of_both_is_named_at_once_and_no_value_is(write: Write) -> None:
    environ = write(
        "postgress: {dsn: secret-1}\npostgres: {dns: secret-2, dsn: [secret-3]}\nredis: secret-4\n"
        "openai: {embedding_dimension: secret-5}\nargo: {parameters: {a: 1, a: secret-6}}\npostgres.dsn: secret-7\n"
        "log_level: INFO\nlog_level: secret-8\nArgo: {}\n"
    )
    said = mistakes(environ | {"FACTEUR_CODEX_TASKS_OPEN": "secret-9"})
    assert [mistake.removesuffix(" (in the configuration file)") for mistake in said] == [
        "argo.parameters.a is there twice",
        "log_level is there twice",
        "postgress is not a known key",
        "postgres.dns is not a known key",
        "postgres.dsn must be a single value, not a map or a list",
        "redis must be a map of keys",
        "postgres.dsn must be written as nested maps",
        "Argo is not a known key",
        "FACTEUR_POSTGRES_DSN is not set (key postgres.dsn)",
        "K_SINK is not set (key broker.sink)",
        "openai.embedding_dimension (in the configuration file) must be a whole number from 1 to 4000",
        "FACTEUR_CODEX_TASKS_OPEN must be true or false",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "is not YAML: see line"),
        ("a: b: c", "is not YAML: see line 1"),
        ("\t- x", "is not YAML"),
        ("a: \x07secret", "is not YAML"),
        (b"a: \xff", "is not UTF-8"),
        ("- secret", "must be a map of keys"),
        ("secret", "must be a map of keys"),
        ("log_level: &s secret\n", "uses an anchor, an alias or a tag in line 1"),
        ("a: &x secret\nlog_level: *x\n", "uses an anchor, an alias or a tag in line 1"),
        ("log_level: !!python/object/apply:os.system [secret]", "uses an anchor, an alias or a tag in line 1"),
        ("\n\nlog_level: !!str secret", "uses an anchor, an alias or a tag in line 3"),
        ("log_level: ! secret", "uses an anchor, an alias or a tag in line 1"),
        ("? [secret]\n: x", "has a key that is no name in line 1"),
        ("? {a: secret}\n: x", "has a key that is no name in line 1"),
        ('"a\\nsecret": x', "has a key that is no name in line 1"),
        ("log_level: a\n---\nlog_level: b\n", "holds more than one document"),
        ('log_level: "a\\0secret"', "holds the character U+0000 in line 1"),
        ("role_map: " + "[" * 100_000, "is nested deeper than 16 levels"),
        ("a: " + "x" * 1024 * 1024, "is larger than 1048576 bytes"),
    ],
    ids=range(19),
)
def test_a_file_that_cannot_be_read_is_one_sentence(write: Write, text: str | bytes, reason: str) -> None:
    (said,) = mistakes(write(text))
    assert said.startswith(f"the configuration file {reason}")
    assert "secret" not in said


def test_aliases_cannot_grow(write: Write) -> None:
    laughs = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    (said,) = mistakes(write("l0: &l0 ha\n" + laughs))
    assert "alias" in said


def test_a_file_that_is_missing_is_one_sentence_beside_what_is_wrong_in_the_environment(tmp_path: Path) -> None:
    missing = {CONFIG_FILE: str(tmp_path / "secret-place")}
    assert mistakes(missing) == ("the configuration file cannot be read: no such file or directory",)
    assert mistakes({CONFIG_FILE: str(tmp_path)}) == ("the configuration file is not a file",)
    both = mistakes(missing | {"K_SINK": "nowhere"})
    assert both[1:] == ("K_SINK must be a URL that starts with http:// or https://",)


@pytest.mark.parametrize("text", ["", "---\n", "# nothing\n", "\ufeff", "{}"])
def test_a_file_may_be_empty(write: Write, text: str) -> None:
    environ = write(text) | {"FACTEUR_POSTGRES_DSN": "x", "K_SINK": "http://b"}
    assert load(Settings, environ).dsn == "x"


def test_what_is_set_is_told_with_its_place(write: Write) -> None:
    found = check([Settings, OrchestratorSettings], write(WELL) | {"K_SINK": "http://other"})
    assert found == [
        Found("FACTEUR_POSTGRES_DSN", "postgres.dsn", "file"),
        Found("K_SINK", "broker.sink", "environment"),
    ]


def test_yaml_is_loaded_only_where_a_file_is_named(write: Write) -> None:
    program = (
        "import sys; from shared.settings import load; from shared.web.serve import ServerSettings; "
        "load(ServerSettings); print('yaml' in sys.modules)"
    )

    def loaded(environ: dict[str, str]) -> str:
        done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert (loaded({}), loaded(write("log_level: DEBUG"))) == ("False", "True")


# --- the orchestrator


def test_the_orchestrator_falls_back_to_what_argo_says_and_then_to_the_earlier_names() -> None:
    settings = load(OrchestratorSettings, {})
    assert settings.enabled is None
    assert (settings.namespace, settings.workflow_template) == ("argo-workflows", "github-codex-implementation")
    assert (settings.service_account, settings.parameters, settings.judge_prompt) == ("", {}, "")
    assert settings.autonomous_workflow_template == "codex-autonomous"
    assert settings.autonomous_generate_name_prefix == "codex-autonomous-"


def test_what_is_said_of_the_orchestrator_comes_before_argo(write: Write) -> None:
    argo = "argo: {namespace: n1, workflow_template: t1, service_account: s1, parameters: {a: '1', b: '1'}}\n"
    settings = load(OrchestratorSettings, write(argo))
    assert (settings.namespace, settings.workflow_template, settings.service_account) == ("n1", "t1", "s1")
    own = "{enabled: true, namespace: n2, workflow_template: t.2, service_account: s2, parameters: {b: '2', C: x}}"
    settings = load(OrchestratorSettings, write(argo + f"codex_implementation_orchestrator: {own}"))
    assert settings.enabled is True
    assert (settings.namespace, settings.workflow_template, settings.service_account) == ("n2", "t.2", "s2")
    assert settings.parameters == {"a": "1", "b": "2", "C": "x"}


_ENABLED = "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_ENABLED"
_ALIAS = "FACTEUR_CODEX_ENABLE_IMPLEMENTATION_ORCHESTRATION"


def test_the_alias_counts_and_must_not_differ(write: Write) -> None:
    file = write("codex_implementation_orchestrator: {enabled: false}")
    assert load(OrchestratorSettings, file).enabled is False
    assert load(OrchestratorSettings, file | {_ALIAS: "true"}).enabled is True
    assert load(OrchestratorSettings, {_ALIAS: "1", _ENABLED: "true"}).enabled is True
    said = mistakes({_ALIAS: "true", _ENABLED: "false"}, OrchestratorSettings)
    assert said == (f"{_ENABLED} and {_ALIAS} are both set, and differ",)
    assert mistakes({_ALIAS: "maybe"}, OrchestratorSettings) == (f"{_ALIAS} must be true or false",)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("FACTEUR_ARGO_NAMESPACE", ["Upper", "a.b", "-a", "a-", "a" * 64, "a/b", "../x", "a\nb"]),
        ("FACTEUR_ARGO_WORKFLOW_TEMPLATE", ["Upper", "a..b", ".a", "a.", "a_b", "a" * 254, "é"]),
        ("FACTEUR_ARGO_SERVICE_ACCOUNT", ["Upper", "a b", "system:x"]),
        (f"{_ENABLED[:-8]}_AUTONOMOUS_GENERATE_NAME_PREFIX", ["-a", "A-", "a" * 41, "a.b"]),
        (
            "FACTEUR_ARGO_PARAMETERS",
            ["[]", '{"a": 1}', '{"a": null}', '{"": "x"}', '{"a": "1", "a": "2"}', "{", "[" * 99_999],
        ),
    ],
)
def test_names_and_parameters_that_kubernetes_would_refuse_are_refused(name: str, wrong: list[str]) -> None:
    for value in wrong:
        (said,) = mistakes({name: value}, OrchestratorSettings)
        assert said.startswith(f"{name} must "), value
        assert load(OrchestratorSettings, {})
