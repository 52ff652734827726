"""discord-interaction: verifies, checks roles, acknowledges within three seconds, and hands on."""
