"""One run: its plan, teacher, folder and record."""
