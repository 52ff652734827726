"""The groups of callback's settings."""

from dataclasses import dataclass
from pathlib import Path

from shared.artifacts.settings import S3Settings
from shared.settings import env


@dataclass(frozen=True, kw_only=True)
class ArtifactSettings(S3Settings):
    """A bucket, or on a laptop a folder."""

    folder: Path | None = env("FACTEUR_ARTIFACTS_DIR", Path, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.server and self.folder is None:
            raise ValueError(
                "MINIO_ENDPOINT must say where artifacts are kept (or FACTEUR_ARTIFACTS_DIR name a folder, on a laptop)"
            )
