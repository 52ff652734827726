"""What codex-intake reads from environment and file."""

from dataclasses import dataclass

from functions.codex_intake.orchestrate import Switches
from functions.codex_intake.orchestrator_settings import OrchestratorSettings
from shared.artifacts.settings import S3Settings
from shared.setting_values import flag, http_url, switch
from shared.settings import env, group
from shared.web.caller_settings import CallerSettings
from shared.web.task_token_settings import TaskTokenSettings


@dataclass(frozen=True, kw_only=True)
class Settings(TaskTokenSettings):
    postgres_dsn: str = env("FACTEUR_POSTGRES_DSN")
    sink: str = env("K_SINK", http_url)
    callers: CallerSettings = group(CallerSettings)
    callback_url: str = env("FACTEUR_CALLBACK_URL", http_url)
    memory_url: str = env("FACTEUR_MEMORY_URL", http_url)
    artifacts: S3Settings = group(S3Settings)
    disable_dispatcher: bool = env("FACTEUR_DISABLE_DISPATCHER", flag, default=False)
    codex_tasks_enabled: bool = env("GRAF_CODEX_TASKS_ENABLED", switch, default=True)
    codex_tasks_open: bool = env("FACTEUR_CODEX_TASKS_OPEN", switch, default=False)
    orchestrator: OrchestratorSettings = group(OrchestratorSettings)

    @property
    def switches(self) -> Switches:
        """What decides how a task is run."""
        asked = self.orchestrator
        return Switches(
            enabled=asked.enabled,
            launching=not self.disable_dispatcher,
            namespace=asked.namespace,
            workflow_template=asked.workflow_template,
            service_account=asked.service_account,
            parameters=asked.parameters,
            autonomous_workflow_template=asked.autonomous_workflow_template,
            autonomous_generate_name_prefix=asked.autonomous_generate_name_prefix,
            judge_prompt=asked.judge_prompt,
        )
