"""Many runs over many datasets, collected so that a recommender can learn from them."""
