"""Predictors: from past runs to an order of candidate runs on a dataset they have not seen."""
