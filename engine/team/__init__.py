"""Several teachers: the members of a team, the chain of assistants, and the search for who should teach."""
