"""The verbs: what a user asks for, and the jobs that do it."""
