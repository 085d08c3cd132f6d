"""Past runs, from every source, as one table."""
