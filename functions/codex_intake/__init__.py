"""codex-intake: the door through which every task comes, accepted once."""
