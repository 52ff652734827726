"""Every key of the configuration file, and the environment variable that says the same.

One file serves all functions, so each of them knows the keys of all.
"""

KEYS = {
    "postgres.dsn": "FACTEUR_POSTGRES_DSN",
    "redis.url": "FACTEUR_REDIS_URL",
    "broker.sink": "K_SINK",
    "server.listen_address": "FACTEUR_SERVER_LISTEN_ADDRESS",
    "log_level": "FACTEUR_LOG_LEVEL",
    "token_secret": "FACTEUR_TOKEN_SECRET",
    "token_secret_previous": "FACTEUR_TOKEN_SECRET_PREVIOUS",
    "api_tokens": "FACTEUR_API_TOKENS",
    "api_tokens_file": "FACTEUR_API_TOKENS_FILE",
    "token_review.callers": "FACTEUR_TOKEN_REVIEW_CALLERS",
    "token_review.audience": "FACTEUR_TOKEN_REVIEW_AUDIENCE",
    "kubernetes.api_url": "FACTEUR_KUBERNETES_API_URL",
    "kubernetes.credentials_dir": "FACTEUR_KUBERNETES_CREDENTIALS_DIR",
    "kubernetes.timeout_seconds": "FACTEUR_KUBERNETES_TIMEOUT_SECONDS",
    "kubernetes.qps": "FACTEUR_KUBERNETES_QPS",
    "kubernetes.burst": "FACTEUR_KUBERNETES_BURST",
    "callback_url": "FACTEUR_CALLBACK_URL",
    "memory_url": "FACTEUR_MEMORY_URL",
    "artifacts.dir": "FACTEUR_ARTIFACTS_DIR",
    "minio.endpoint": "MINIO_ENDPOINT",
    "minio.bucket": "MINIO_BUCKET",
    "minio.access_key": "MINIO_ACCESS_KEY",
    "minio.secret_key": "MINIO_SECRET_KEY",
    "minio.secure": "MINIO_SECURE",
    "minio.region": "MINIO_REGION",
    "policy_file": "FACTEUR_POLICY_FILE",
    "memory_tokens": "FACTEUR_MEMORY_TOKENS",
    "memory_retention": "FACTEUR_MEMORY_RETENTION",
    "memory_holdout_share": "FACTEUR_MEMORY_HOLDOUT_SHARE",
    "jobs.dir": "FACTEUR_JOBS_DIR",
    "jobs.namespace": "FACTEUR_JOBS_NAMESPACE",
    "jobs.kept_seconds": "FACTEUR_JOBS_KEPT_SECONDS",
    "runner.image": "FACTEUR_RUNNER_IMAGE",
    "runner.command": "FACTEUR_RUNNER_COMMAND",
    "runner.service_account": "FACTEUR_RUNNER_SERVICE_ACCOUNT",
    "runner.secret": "FACTEUR_RUNNER_SECRET",
    "runner.resources": "FACTEUR_RUNNER_RESOURCES",
    "queue.max_runs": "FACTEUR_MAX_RUNS",
    "queue.max_runs_per_namespace": "FACTEUR_MAX_RUNS_PER_NAMESPACE",
    "queue.max_runs_per_caller": "FACTEUR_MAX_RUNS_PER_CALLER",
    "queue.max_runs_per_branch": "FACTEUR_MAX_RUNS_PER_BRANCH",
    "launch.lease_seconds": "FACTEUR_LAUNCH_LEASE_SECONDS",
    "launch.give_up_seconds": "FACTEUR_LAUNCH_GIVE_UP_SECONDS",
    "launch.start_seconds": "FACTEUR_LAUNCH_START_SECONDS",
    "openai.api_key": "OPENAI_API_KEY",
    "openai.base_url": "OPENAI_BASE_URL",
    "openai.embedding_model": "OPENAI_EMBEDDING_MODEL",
    "openai.embedding_dimension": "OPENAI_EMBEDDING_DIMENSION",
    "discord.public_key": "FACTEUR_DISCORD_PUBLIC_KEY",
    "discord.ephemeral": "FACTEUR_DISCORD_EPHEMERAL",
    "discord.threads": "FACTEUR_DISCORD_THREADS",
    "discord.events_open": "FACTEUR_DISCORD_EVENTS_OPEN",
    "public_url": "FACTEUR_PUBLIC_URL",
    "discord.bot_token": "FACTEUR_DISCORD_BOT_TOKEN",
    "discord.application_id": "FACTEUR_DISCORD_APPLICATION_ID",
    "discord.guild_id": "FACTEUR_DISCORD_GUILD_ID",
    "discord.api_url": "FACTEUR_DISCORD_API_URL",
    "role_map": "FACTEUR_ROLE_MAP",
    "dispatcher.disabled": "FACTEUR_DISABLE_DISPATCHER",
    "codex_tasks.enabled": "GRAF_CODEX_TASKS_ENABLED",
    "codex_tasks.open": "FACTEUR_CODEX_TASKS_OPEN",
    "argo.namespace": "FACTEUR_ARGO_NAMESPACE",
    "argo.workflow_template": "FACTEUR_ARGO_WORKFLOW_TEMPLATE",
    "argo.service_account": "FACTEUR_ARGO_SERVICE_ACCOUNT",
    "argo.parameters": "FACTEUR_ARGO_PARAMETERS",
    "codex_implementation_orchestrator.enabled": "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_ENABLED",
    "codex_implementation_orchestrator.namespace": "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_NAMESPACE",
    "codex_implementation_orchestrator.workflow_template": (
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_WORKFLOW_TEMPLATE"
    ),
    "codex_implementation_orchestrator.service_account": "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_SERVICE_ACCOUNT",
    "codex_implementation_orchestrator.parameters": "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_PARAMETERS",
    "codex_implementation_orchestrator.autonomous_workflow_template": (
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_AUTONOMOUS_WORKFLOW_TEMPLATE"
    ),
    "codex_implementation_orchestrator.autonomous_generate_name_prefix": (
        "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_AUTONOMOUS_GENERATE_NAME_PREFIX"
    ),
    "codex_implementation_orchestrator.judge_prompt": "FACTEUR_CODEX_IMPLEMENTATION_ORCHESTRATOR_JUDGE_PROMPT",
}
VARIABLES = {variable: key for key, variable in KEYS.items()}

# Written as maps and lists in the file, and as JSON in the environment.
STRUCTURED = frozenset(
    {
        "api_tokens",
        "token_review.callers",
        "runner.command",
        "runner.resources",
        "memory_retention",
        "role_map",
        "argo.parameters",
        "codex_implementation_orchestrator.parameters",
    }
)
