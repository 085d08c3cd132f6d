"""From rows of text to tokens: tokenising, windows, padded batches, alignment, the order of examples."""
