"""What everything stands on: errors, files, progress, options, the machine, the hub. Loads no torch."""
