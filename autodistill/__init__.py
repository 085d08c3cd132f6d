"""The layer above the engine: what the command line says, asks and shows."""
