"""Data: any source → a `Task` → batches. Importing this loads neither torch nor transformers."""
