"""What an agent changed is kept: a state before and after, a patch that applies, and the files it was asked for."""

from pathlib import Path

from tests.component.runner.callback_server import Callback
from tests.component.runner.container import Container
from tests.component.runner.wrapping import git, run


def snapshots(callback: Callback) -> list[str]:
    return [event["snapshot"]["content"] for event in callback.events.values() if event["eventType"] == "snapshot"]


def left(callback: Callback) -> dict[str, bytes]:
    return {kept["name"]: kept["content"] for kept in callback.artifacts.values() if kept["committed"]}


def test_the_patch_of_a_run_makes_the_same_tree_of_a_clone(
    callback: Callback, container: Container, tmp_path: Path
) -> None:
    git(container.work, "init", "--quiet")
    (container.work / "kept").write_text("old\n")
    (container.work / "gone").write_text("x\n")
    git(container.work, "add", "--all")
    git(container.work, "commit", "--quiet", "--message", "start")
    git(tmp_path, "clone", "--quiet", str(container.work), "clone")
    script = """
echo new > kept; git -c user.name=a -c user.email=a@b.invalid commit -qam changed
printf '\\000\\377' > binary; rm gone; mkdir -p 'a b'; echo other > 'a b/ü'; ln -s kept link; chmod +x kept
"""
    assert run(container, ["sh", "-c", script], "--memories", "0") == 0
    before, after = snapshots(callback)
    assert "changes:\n(none)" in before
    assert " 5 files changed" in after
    (tmp_path / "patch").write_bytes(left(callback)["change.patch"])
    git(tmp_path / "clone", "apply", "--index", "../patch")
    git(container.work, "add", "--all")
    assert git(tmp_path / "clone", "write-tree") == git(container.work, "write-tree")


def test_a_secret_that_an_agent_writes_down_is_masked_in_the_patch(callback: Callback, container: Container) -> None:
    git(container.work, "init", "--quiet")
    container.env["MODEL_API_KEY"] = "sk-very-secret"
    assert run(container, ["sh", "-c", 'echo "$MODEL_API_KEY" > found']) == 0
    assert b"\n+[secret]\n" in left(callback)["change.patch"]
    assert "secrets are masked in the patch" in snapshots(callback)[1]
    git(container.work.parent, "init", "--quiet", "clone")
    (container.work.parent / "patch").write_bytes(left(callback)["change.patch"])
    git(container.work.parent / "clone", "apply", "../patch")


def test_without_a_change_there_is_no_patch(callback: Callback, container: Container) -> None:
    git(container.work, "init", "--quiet")
    assert run(container, ["true"]) == 0
    assert left(callback) == {}
    assert snapshots(callback)[1].endswith("changes since nothing:\n(none)\n")


def test_an_agent_that_fails_leaves_its_work_too(callback: Callback, container: Container) -> None:
    git(container.work, "init", "--quiet")
    assert run(container, ["sh", "-c", "echo half > done; exit 1"], "--artifact", "don*") == 1
    assert left(callback)["done"] == b"half\n"
    assert b"+half" in left(callback)["change.patch"]
    assert callback.kinds[-1] == "failed"


def test_files_are_left_by_glob_and_none_from_outside(callback: Callback, container: Container) -> None:
    (container.folder / "outside").mkdir()
    (container.folder / "outside/secret.txt").write_text("secret")
    script = """
mkdir -p out/deep; echo 1 > out/one.txt; echo 2 > out/deep/two.txt; echo 3 > out/.env.txt
ln -s ../../outside out/link; ln -s ../../outside/secret.txt out/secret.txt; mkfifo out/pipe.txt
"""
    options = ["--artifact", "out/**/*.txt", "--artifact", "out/link/*", "--artifact", "nothing/*"]
    assert run(container, ["sh", "-c", script], *options) == 0
    assert left(callback) == {"one.txt": b"1\n", "two.txt": b"2\n"}
    assert callback.said("log") == ["no file matches out/link/*", "no file matches nothing/*"]


def test_the_workspace_may_be_elsewhere(callback: Callback, container: Container) -> None:
    folder = container.folder / "elsewhere"
    folder.mkdir()
    assert run(container, ["sh", "-c", "pwd -P; echo 1 > one"], "--workspace", str(folder), "--artifact", "one") == 0
    assert callback.said("completed") == [str(folder.resolve())]
    assert left(callback) == {"one": b"1\n"}


def test_a_store_that_is_away_costs_the_files_and_not_the_end(callback: Callback, container: Container) -> None:
    container.set_deadline(20)
    script = "echo 1 > one"
    callback.spoils = 10_000
    assert run(container, ["sh", "-c", script], "--artifact", "*") == 0
    assert callback.kinds[-1] == "completed"
    assert any("Files are not left with the task" in str(said) for said in callback.said("log"))


def test_a_store_that_hangs_takes_no_time_of_the_end(callback: Callback, container: Container) -> None:
    container.set_deadline(20)
    callback.store_hangs.set()
    assert run(container, ["sh", "-c", "echo 1 > one"], "--artifact", "*") == 0
    assert callback.said("log") == ["There is no time left to leave more files with the task."]
    assert callback.kinds[-1] == "completed"


def test_an_agent_that_removes_its_workspace_has_an_end(callback: Callback, container: Container) -> None:
    git(container.work, "init", "--quiet")
    assert run(container, ["sh", "-c", 'rm -rf "$PWD"; echo gone'], "--artifact", "**") == 0
    assert callback.said("completed") == ["gone"]
    assert "no changes can be told" in snapshots(callback)[1]
