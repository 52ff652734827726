"""Task prompts as coding agents get them, by topic, and what people ask later in other words."""

TASKS: dict[str, tuple[str, ...]] = {
    "retries": (
        "Fix the flaky retry test in broker/delivery.py: the back-off jitter makes it fail about once in twenty runs.",
        "Event delivery to the webhook must be retried with exponential back-off and honour Retry-After.",
        "Events that still fail after ten retries should go to the dead letter queue with their last error.",
    ),
    "database": (
        "Add a migration that creates an index on task_runs.delivery_id without locking the table.",
        "The Postgres connection pool is exhausted under load: find the leaked connections and close them.",
        "Rewrite the slow SQL query behind the task list; EXPLAIN shows a sequential scan over task_runs.",
    ),
    "login": (
        "Implement OAuth login with GitHub and store the user session in a signed cookie.",
        "Users are logged out at random: the session cookie expires too early. Find out why.",
        "Reject passwords that appear in breach lists when a user signs up or resets the password.",
    ),
    "kubernetes": (
        "The checkout deployment crashes with OOMKilled: raise the memory limit in the Helm chart.",
        "Add readiness and liveness probes to every Kubernetes deployment in the payments namespace.",
        "Roll the nginx ingress controller back to 1.9, the upgrade broke TLS termination.",
    ),
    "frontend": (
        "The React settings page re-renders on every keystroke; memoise the form and split the component.",
        "Dark mode: make the colours of all buttons and links follow the theme in styles/theme.css.",
        "The date picker shows the wrong month in Safari when the browser's time zone is negative.",
    ),
    "ci": (
        "Cache the pip and uv downloads in the GitHub Actions workflow, the build takes nine minutes.",
        "Run ruff and mypy in continuous integration and fail the build on any lint warning.",
        "Publish the Docker image for amd64 and arm64 from the release workflow.",
    ),
    "search": (
        "Make embeddings of all documents and answer questions by vector similarity search with pgvector.",
        "Full-text search ignores German umlauts; normalise the query and the documents the same way.",
        "Rank search results by recency as well as by similarity, newest documents first.",
    ),
    "billing": (
        "Invoices show the wrong VAT rate for customers in Switzerland; fix the tax calculation.",
        "Integrate Stripe webhooks: mark an invoice as paid when the payment succeeds.",
        "Export monthly invoices as CSV for the accounting team.",
    ),
}

QUERIES: tuple[tuple[str, str], ...] = (
    ("the retry test for delivery is flaky because of jitter", "retries"),
    ("exponential backoff when delivering events to a webhook", "retries"),
    ("what happens to dead letters after all retries failed", "retries"),
    ("create index concurrently on task_runs", "database"),
    ("postgres pool runs out of connections", "database"),
    ("sequential scan makes the SQL query for listing tasks slow", "database"),
    ("sign in with GitHub OAuth", "login"),
    ("why does the session cookie expire", "login"),
    ("refuse breached passwords at sign-up", "login"),
    ("pod was OOMKilled, increase memory limits", "kubernetes"),
    ("missing liveness probe on a deployment", "kubernetes"),
    ("ingress-nginx upgrade breaks TLS", "kubernetes"),
    ("React form re-renders too often while typing", "frontend"),
    ("button colours in the dark theme", "frontend"),
    ("Safari date picker off by one month", "frontend"),
    ("slow GitHub Actions build, add a cache for uv", "ci"),
    ("lint with ruff and type-check with mypy on every push", "ci"),
    ("multi-arch docker image, arm64 release", "ci"),
    ("vector similarity search using pgvector embeddings", "search"),
    ("umlauts are not found by full text search", "search"),
    ("newest documents should rank higher in the results", "search"),
    ("VAT is calculated wrongly on Swiss invoices", "billing"),
    ("stripe payment webhook should mark invoices paid", "billing"),
    ("CSV export of the invoices of a month", "billing"),
)
