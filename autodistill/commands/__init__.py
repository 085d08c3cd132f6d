"""The command line: options, requests, and what is shown."""
