"""Where artifacts are is said completely or not at all."""

import pytest

from functions.callback.setting_groups import ArtifactSettings
from shared.artifacts.files import FileArtifacts
from shared.artifacts.links import FileLinks, S3Links, links
from shared.artifacts.s3 import S3Artifacts
from shared.artifacts.settings import S3Settings
from shared.artifacts.store import store
from shared.settings import SettingsError, load

MINIO = {"MINIO_BUCKET": "artifacts", "MINIO_ACCESS_KEY": "key", "MINIO_SECRET_KEY": "secret-of-the-store"}


@pytest.mark.parametrize(
    ("said", "secure", "url"),
    [
        ("minio.test:9000", "", "https://minio.test:9000"),
        ("minio.test:9000", "false", "http://minio.test:9000"),
        ("minio.test", "", "https://minio.test"),
        ("minio.test:443", "", "https://minio.test"),
        ("minio.test:443", "false", "http://minio.test:443"),
        ("http://minio.test:80/", "", "http://minio.test"),
        ("https://minio.test", "false", "https://minio.test"),
        ("[::1]:9000", "no", "http://[::1]:9000"),
    ],
)
def test_an_endpoint_is_a_host_or_a_url(said: str, secure: str, url: str) -> None:
    assert load(S3Settings, {**MINIO, "MINIO_ENDPOINT": said, "MINIO_SECURE": secure}).endpoint == url


@pytest.mark.parametrize(
    "said", ["http://", "minio.test/path", "user:password@minio.test", "ftp://minio.test", "a b", "minio.test?x"]
)
def test_what_is_no_endpoint_is_a_mistake_and_not_repeated(said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(S3Settings, {**MINIO, "MINIO_ENDPOINT": said})
    assert "MINIO_ENDPOINT must be host:port" in str(refused.value)
    assert "password" not in str(refused.value)


def test_everything_that_is_missing_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load(S3Settings, {"MINIO_ENDPOINT": "minio.test", "MINIO_ACCESS_KEY": "key"})
    assert refused.value.mistakes == ("MINIO_ENDPOINT is set, and MINIO_BUCKET, MINIO_SECRET_KEY must be set with it",)
    with pytest.raises(SettingsError) as refused:
        load(S3Settings, {**MINIO, "MINIO_ENDPOINT": "minio.test", "MINIO_BUCKET": "No_Bucket", "MINIO_SECURE": "si"})
    assert len(refused.value.mistakes) == 2


def test_callback_needs_a_bucket_or_a_folder() -> None:
    with pytest.raises(SettingsError, match="MINIO_ENDPOINT must say where artifacts are kept"):
        load(ArtifactSettings, {})
    folder = load(ArtifactSettings, {"FACTEUR_ARTIFACTS_DIR": "/somewhere"})
    assert isinstance(store(folder, folder.folder), FileArtifacts)
    assert isinstance(links(folder, "http://callback.test", ["k" * 32]), FileLinks)
    both = {"FACTEUR_ARTIFACTS_DIR": "/somewhere", "MINIO_ENDPOINT": "minio.test", **MINIO}
    bucket = load(ArtifactSettings, both)
    assert isinstance(store(bucket, bucket.folder), S3Artifacts)
    assert isinstance(links(bucket, "http://callback.test", ["k" * 32]), S3Links)


def test_no_repr_shows_the_secret() -> None:
    settings = load(S3Settings, {**MINIO, "MINIO_ENDPOINT": "minio.test"})
    assert "secret-of-the-store" not in repr(settings)
