"""The door to artifact storage: S3 or a folder, and links to either."""
