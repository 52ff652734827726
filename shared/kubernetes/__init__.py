"""Door to the Kubernetes API."""
