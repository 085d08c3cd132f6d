"""Searching among pipelines by training them in pieces: which one is trained next, and how far."""
