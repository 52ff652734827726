"""callback: what a container reports is recorded once, and nothing of it is lost."""
