"""The `facteur` command."""
