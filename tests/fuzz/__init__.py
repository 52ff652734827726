"""The API attacked from its document: `make fuzz-api`."""
