"""The wrapper: any command as the agent of a task."""
