"""Speed and memory of scoring, beside the challenges' own tools."""
