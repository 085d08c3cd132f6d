"""What the recommender is worth on datasets that it has not seen."""
