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
    "api_tokens": "FACTEUR_API_TOKENS",
    "api_tokens_file": "FACTEUR_API_TOKENS_FILE",
    "token_review.callers": "FACTEUR_TOKEN_REVIEW_CALLERS",
    "token_review.audience": "FACTEUR_TOKEN_REVIEW_AUDIENCE",
    "kubernetes.api_url": "FACTEUR_KUBERNETES_API_URL",
    "kubernetes.credentials_dir": "FACTEUR_KUBERNETES_CREDENTIALS_DIR",
    "callback_url": "FACTEUR_CALLBACK_URL",
    "memory_url": "FACTEUR_MEMORY_URL",
    "artifacts.dir": "FACTEUR_ARTIFACTS_DIR",
    "jobs.dir": "FACTEUR_JOBS_DIR",
    "runner.command": "FACTEUR_RUNNER_COMMAND",
    "openai.api_key": "OPENAI_API_KEY",
    "openai.base_url": "OPENAI_BASE_URL",
    "openai.embedding_model": "OPENAI_EMBEDDING_MODEL",
    "openai.embedding_dimension": "OPENAI_EMBEDDING_DIMENSION",
    "discord.public_key": "FACTEUR_DISCORD_PUBLIC_KEY",
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
        "role_map",
        "argo.parameters",
        "codex_implementation_orchestrator.parameters",
    }
)
