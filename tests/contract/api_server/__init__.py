"""What facteur relies on of a Kubernetes API server, kept by the fake one and by a real one."""
