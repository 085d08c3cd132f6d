"""What the recommender knows of a dataset before anything is distilled on it."""
