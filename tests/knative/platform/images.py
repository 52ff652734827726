"""Images of the programs of Knative and of Envoy, as tars that a node imports; made once."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.go_modules import CACHE, Say
from tests.images.oci import ImageConfig, write_image
from tests.knative.platform.manifests import ENVOY, image
from tests.knative.platform.programs import envoy, programs

# Distroless' user "nonroot", as whom Knative's own images run.
_USER = "65532:65532"
_CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")


def platform_images(base: Sequence[Path], say: Say) -> tuple[str, list[Path]]:
    """The tag of all images, and their tars. `base` are the layers below Envoy: a Debian with its glibc."""
    built, proxy = programs(say), envoy(say)
    tag = built.name.removeprefix("knative-")
    folder = CACHE / "-".join(["images", tag, proxy.name, *(layer.name for layer in base)])
    folder.mkdir(exist_ok=True)
    tars = [_static(folder / f"{program.name}.tar", program, tag) for program in sorted(built.iterdir())]
    return tag, [*tars, _proxy(folder / f"{ENVOY}.tar", proxy, base, tag)]


def _static(target: Path, program: Path, tag: str) -> Path:
    """An image of a program that needs nothing else, and the certificates by which it knows others."""
    if not target.exists():
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
            root = Path(folder)
            _put(program, root / "ko-app" / program.name, 0o755)
            _put(Path("/") / _CERTIFICATES, root / _CERTIFICATES, 0o644)
            (root / "tmp").mkdir()
            (root / "tmp").chmod(0o1777)
            config = ImageConfig(entrypoint=[f"/ko-app/{program.name}"], user=_USER)
            write_image(target, image(program.name, tag), [root], config)
    return target


def _proxy(target: Path, program: Path, base: Sequence[Path], tag: str) -> Path:
    if not target.exists():
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=CACHE) as folder:
            _put(program, Path(folder) / "usr/local/bin/envoy", 0o755)
            write_image(target, image(ENVOY, tag), [*base, Path(folder)], ImageConfig())
    return target


def _put(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True)
    shutil.copyfile(source, target)
    target.chmod(mode)
