"""The door to Discord's HTTP API: messages, threads, commands, within its rate limits (urllib3)."""
