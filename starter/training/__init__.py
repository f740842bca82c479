"""One loop that trains every torch model, its checkpoints and its processes."""
