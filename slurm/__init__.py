"""Talking with schedulers, and with the signals they send. Never imports torch."""
