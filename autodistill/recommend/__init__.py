"""From a dataset, a teacher and students to the pipelines that should be run."""
