"""Teacher and student models: their names, how they are loaded and started, one forward pass."""
