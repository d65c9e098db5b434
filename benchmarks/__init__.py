"""Every figure that the documentation quotes, each printed by one command."""
