"""Source → chain → store: what would be written, and the workers that write it."""
