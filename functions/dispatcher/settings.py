"""What dispatcher reads from environment and file."""

from dataclasses import dataclass
from pathlib import Path

from functions.dispatcher.setting_groups import ClusterSettings, QueueSettings, RunnerSettings
from shared.setting_values import flag, http_url, integer, number, secret
from shared.settings import env, group


def _policy(raw: str) -> Path:
    # Its rules are read when somebody asks whether the function is ready: a start shall not wait for PyYAML.
    if not Path(raw).is_file():
        raise ValueError("must name a file")
    return Path(raw)


@dataclass(frozen=True, kw_only=True)
class Settings:
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    sink: str = env("K_SINK", http_url)
    token_secret: str = env("FACTEUR_TOKEN_SECRET", secret)
    callback_url: str = env("FACTEUR_CALLBACK_URL", http_url)
    memory_url: str = env("FACTEUR_MEMORY_URL", http_url)
    policy_file: Path | None = env("FACTEUR_POLICY_FILE", _policy, default=None)
    runner: RunnerSettings = group(RunnerSettings)
    queue: QueueSettings = group(QueueSettings)
    cluster: ClusterSettings = group(ClusterSettings)
    memory_tokens: int = env("FACTEUR_MEMORY_TOKENS", integer(0, 100_000), default=1500)
    holdout_share: float = env("FACTEUR_MEMORY_HOLDOUT_SHARE", number(0, 0.5), default=0.1)
    lease_seconds: int = env("FACTEUR_LAUNCH_LEASE_SECONDS", integer(1, 3600), default=30)
    launch_seconds: int = env("FACTEUR_LAUNCH_GIVE_UP_SECONDS", integer(1, 86_400), default=900)
    start_seconds: int = env("FACTEUR_LAUNCH_START_SECONDS", integer(1, 86_400), default=600)
    disable_dispatcher: bool = env("FACTEUR_DISABLE_DISPATCHER", flag, default=False)
