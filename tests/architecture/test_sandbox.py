"""docker-compose.yml fits the code that it runs, and lets nobody in but this machine."""

import ast
import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from shared.cli.main import app
from shared.local import manifests
from shared.local.discord import APPLICATION, GUILD
from shared.settings import check, declared
from shared.web.serve import ServerSettings, function_settings
from tests.architecture.compose import FILE, services, sourced
from tests.architecture.markdown import table
from tests.architecture.tree import FUNCTIONS, ROOT, kebab, text, tree
from tests.e2e import target

STAND_INS = ("broker", "node", "gateway", "discord")
PROGRAMS = ("shared.local.broker.__main__", "shared.local.gateway", "shared.local.node", "shared.local.agent")
ONCE = {"bucket", "migrate", "jobs-folder"}
OURS = [*map(kebab, FUNCTIONS), *STAND_INS, "migrate", "jobs-folder"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `facteur sandbox` makes."""
    file = tmp_path_factory.mktemp("sandbox") / ".env"
    done = CliRunner().invoke(app, ["sandbox", "--file", str(file)])
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = CliRunner().invoke(app, ["sandbox", "--file", str(file)])
    assert (again.exit_code, "is there already" in again.output) == (2, True)
    return sourced(file)


@pytest.fixture(scope="module")
def sandbox(made: dict[str, str]) -> dict[str, Any]:
    return services(made)


def test_every_secret_that_the_file_needs_is_made_and_none_is_in_it(made: dict[str, str]) -> None:
    needed = set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))
    assert needed <= made.keys()
    assert all(len(made[name]) >= 48 for name in needed)
    # A secret that has a value here has it for everybody.
    assert not re.findall(r"(?:PASSWORD|SECRET|SECRET_KEY|TOKENS?): (?!\$\{)\S", FILE.read_text())
    with pytest.raises(KeyError):
        services({})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_built_for_itself_and_told_what_it_reads_and_nothing_else(
    sandbox: dict[str, Any], function: str
) -> None:
    service = sandbox[kebab(function)]
    assert service["build"]["args"] == {"FUNCTION": kebab(function)}
    settings = function_settings(kebab(function))
    told = service["environment"]
    assert told.keys() <= {field.metadata["env"] for field in declared(settings)}
    mounted = {inside: str(ROOT / here) for here, inside, *_ in (v.split(":") for v in service.get("volumes", []))}
    # Names every setting that is missing or wrong.
    check([settings, ServerSettings], {name: mounted.get(value, value) for name, value in told.items()})


def test_what_a_stand_in_is_told_of_a_function_is_where_it_is(sandbox: dict[str, Any]) -> None:
    told = json.loads(sandbox["broker"]["environment"]["FACTEUR_LOCAL_SERVICES"])
    assert manifests.load(ROOT / "eventing").services <= told.keys()
    assert told == {kebab(function): f"http://{kebab(function)}:8080" for function in FUNCTIONS}
    discord = sandbox["discord-interaction"]["environment"]
    assert (discord["FACTEUR_DISCORD_APPLICATION_ID"], discord["FACTEUR_DISCORD_GUILD_ID"]) == (APPLICATION, GUILD)


def test_nothing_listens_beyond_this_machine(sandbox: dict[str, Any]) -> None:
    ports = [port for service in sandbox.values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert not any(service.get("network_mode") == "host" or service.get("privileged") for service in sandbox.values())


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_may_do_little(sandbox: dict[str, Any], name: str) -> None:
    service = sandbox[name]
    assert (ROOT / service["build"]["dockerfile"]).is_file()
    if name not in ONCE:
        assert (service["user"], service["read_only"], service["cap_drop"]) == ("65532:65532", True, ["ALL"])


def test_who_is_waited_for_can_be_waited_for(sandbox: dict[str, Any]) -> None:
    for service in sandbox.values():
        for name, wish in service.get("depends_on", {}).items():
            assert {
                "service_healthy": "test" in sandbox[name].get("healthcheck", {}),
                "service_completed_successfully": name in ONCE,
                "service_started": True,
            }[wish["condition"]], name
    waited = {name for service in sandbox.values() for name in service.get("depends_on", {})}
    assert sandbox.keys() - waited == {"gateway"}, "`up --wait` waits for everything through the gateway"
    assert {name for name, service in sandbox.items() if "restart" not in service} == ONCE


def test_images_of_others_are_of_one_version_and_folders_are_there(sandbox: dict[str, Any]) -> None:
    foreign = [service["image"] for service in sandbox.values() if "build" not in service]
    assert all(re.search(r":.*\d", image) for image in foreign)
    volumes = [volume.split(":")[0] for service in sandbox.values() for volume in service.get("volumes", [])]
    declared_volumes = yaml.safe_load(FILE.read_text())["volumes"].keys()
    assert {name for name in volumes if not name.startswith("./")} == declared_volumes
    assert all((ROOT / name).exists() for name in volumes if name.startswith("./"))


def test_the_context_of_the_image_holds_what_it_copies_and_no_more() -> None:
    ignored = text("sandbox/Dockerfile.dockerignore").splitlines()
    assert ignored[0] == "*"
    kept = {path for line in ignored[1:] for path in ROOT.glob(line.removeprefix("!"))}
    assert {ROOT / "uv.lock", ROOT / "pyproject.toml", ROOT / "functions/build.sh"} <= kept
    assert {path.relative_to(ROOT).parts[0] for path in kept} == {"uv.lock", "pyproject.toml", "functions", "shared"}


def test_the_packages_of_the_image_are_all_that_its_programs_import() -> None:
    command = re.search(r"uv (export .*?) --output-file", text("sandbox/Dockerfile"))
    assert command
    listed = _run("-m", "uv", *command[1].split(), "--no-hashes", "--no-annotate", "--offline")
    packages = {line.split("==")[0].lower() for line in listed.splitlines()}
    loaded = _run("-c", f"import sys, {', '.join(PROGRAMS)}\nprint(*(name for name in sys.modules))").split()
    modules = [name for name in loaded if name.startswith("shared.") and name != "shared"]
    assert len(modules) > 20
    wanted = {name for module in modules for name in _imported_at_once(module)} - {"shared"} - sys.stdlib_module_names
    distributions = packages_distributions()
    assert {distributions[name][0].lower() for name in wanted} <= packages


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def _imported_at_once(module: str) -> Iterator[str]:
    """The packages that a module of ours imports when it is imported itself."""
    path = module.replace(".", "/")
    file = f"{path}.py" if (ROOT / f"{path}.py").is_file() else f"{path}/__init__.py"
    for node in tree(file).body:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_the_document_explains_every_variable_of_the_suite() -> None:
    assert [row[0] for row in table("docs/sandbox.md", "variable")] == list(target.VARIABLES)
