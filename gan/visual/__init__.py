"""Pictures of what the networks learned."""
