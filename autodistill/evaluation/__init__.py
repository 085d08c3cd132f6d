"""What the recommender is worth on datasets that it has not seen, and what past runs say of components."""
