"""What callback reads from environment and file."""

from dataclasses import dataclass

from functions.callback.setting_groups import ArtifactSettings
from shared.setting_values import http_url
from shared.settings import env, group
from shared.web.task_token_settings import TaskTokenSettings


@dataclass(frozen=True, kw_only=True)
class Settings(TaskTokenSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    sink: str = env("K_SINK", http_url)
    callback_url: str = env("FACTEUR_CALLBACK_URL", http_url)
    artifacts: ArtifactSettings = group(ArtifactSettings)
