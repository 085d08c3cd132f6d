"""Augmented examples, made of the training examples while the student trains."""
