"""Data: any source → a `Task` → batches. Importing this loads neither torch nor transformers."""

from engine.data.load import identified, load_task
from engine.data.task import Task

__all__ = ["Task", "identified", "load_task"]
