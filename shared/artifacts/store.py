"""Which store keeps artifacts: a bucket where one is named, else a folder."""

from pathlib import Path

from shared.artifacts.files import FileArtifacts
from shared.artifacts.s3 import S3Artifacts
from shared.artifacts.settings import S3Settings


def store(s3: S3Settings, folder: Path | None) -> FileArtifacts | S3Artifacts:
    """The store that the settings name."""
    return S3Artifacts(s3) if folder is None or s3.server else FileArtifacts(folder)
