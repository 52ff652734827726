"""The facts of the system: CloudEvents, the catalogue of event types, and the protobuf messages."""
