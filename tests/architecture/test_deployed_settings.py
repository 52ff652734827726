"""Each function is given what it reads, and nothing of another's; it starts with what each overlay says."""

from pathlib import Path

from shared import policy_file
from shared.settings import declared, load
from shared.web.serve import ServerSettings, function_settings
from tests.architecture.deployed import BASE, NAMES, every_function, every_overlay, read_by, spec, variables
from tests.architecture.kustomizations import KNATIVE, config_map, make_secrets, of_kind

OTHER_VARIABLES = {"OTEL_EXPORTER_OTLP_ENDPOINT"}


@every_function
def test_a_function_is_given_only_what_it_reads(name: str) -> None:
    assert set(variables(name)) <= read_by(name)


@every_function
def test_a_secret_is_of_this_function_or_shared_under_the_name_of_the_variable(name: str) -> None:
    references = {
        variable: (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for variable, entry in variables(name).items()
        if "valueFrom" in entry
    }
    assert references.pop("FACTEUR_POSTGRES_DSN") == (f"facteur-postgres-{name}", "dsn")
    assert references.pop("FACTEUR_REDIS_URL", None) in (None, ("facteur-redis", "url"))
    assert references
    assert all(
        key == variable and secret in ("facteur-secrets", "facteur-minio")
        for variable, (secret, key) in references.items()
    )


@every_function
def test_whoever_announces_is_told_where_the_broker_is(name: str) -> None:
    bindings = of_kind(BASE, "SinkBinding")
    bound = [binding for binding in bindings if binding["spec"]["subject"]["name"] == name]
    assert len(bound) == ("K_SINK" in read_by(name))
    assert all(binding["spec"]["sink"]["ref"]["name"] == "facteur" for binding in bound)


@every_overlay
@every_function
def test_a_function_starts_with_what_an_overlay_gives_it(name: str, overlay: Path, tmp_path: Path) -> None:
    secrets = make_secrets().contents("require", {})
    environ = {**config_map(overlay, "facteur-settings")}
    for variable, entry in variables(name).items():
        if "value" in entry:
            environ[variable] = entry["value"]
            continue
        reference = entry["valueFrom"]["secretKeyRef"]
        if reference["key"] in secrets[reference["name"]] or not reference.get("optional"):
            environ[variable] = secrets[reference["name"]][reference["key"]]
    environ |= {"K_SINK": "http://broker.invalid/facteur"} if "K_SINK" in read_by(name) else {}
    if "FACTEUR_POLICY_FILE" in environ:
        (tmp_path / "policy.yaml").write_text(config_map(overlay, "facteur-policy")["policy.yaml"], encoding="utf-8")
        assert policy_file.read(tmp_path / "policy.yaml").rules
        environ["FACTEUR_POLICY_FILE"] = str(tmp_path / Path(environ["FACTEUR_POLICY_FILE"]).name)
    load(function_settings(name), environ)


@every_overlay
def test_the_plain_settings_are_settings_and_no_secrets(overlay: Path) -> None:
    plain = set(config_map(overlay, "facteur-settings"))
    of_the_server = {field.metadata["env"] for field in declared(ServerSettings)}
    assert plain <= {variable for name in NAMES for variable in read_by(name)} | of_the_server | OTHER_VARIABLES
    assert not plain & {variable for name in NAMES for variable in variables(name)}


def test_a_policy_is_mounted_where_the_setting_says() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in spec("dispatcher")["containers"][0]["volumeMounts"]}
    assert variables("dispatcher")["FACTEUR_POLICY_FILE"]["value"] == f"{mounts['policy']}/policy.yaml"
    assert list(config_map(KNATIVE / "base", "facteur-policy")) == ["policy.yaml"]


def test_secrets_are_as_good_as_the_names_that_are_asked_for_and_different_each_time() -> None:
    first, second = (make_secrets().contents("require", {"OPENAI_API_KEY": "sk-1"}) for _ in range(2))
    assert first["facteur-secrets"]["OPENAI_API_KEY"] == "sk-1"
    changed = {name for name in first if first[name] != second[name]}
    assert changed == set(first)
    assert set(make_secrets().FUNCTIONS) == set(NAMES)
