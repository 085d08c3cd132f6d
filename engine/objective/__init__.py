"""The loss of a pipeline: equation 1, its terms, and what is learned beside the student."""
