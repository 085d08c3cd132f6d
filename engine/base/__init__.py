"""What everything stands on: errors, files, progress, options, the machine, the hub. Loads no torch."""

DISTRIBUTION = "autodistiller-nlp"
"""What is installed under this name holds `engine`, `autodistill`, `meta_data` and `cli`."""
