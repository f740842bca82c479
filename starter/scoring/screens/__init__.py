"""Cells as scoring reads them: opened, brought to one scale, and summed up in one pass."""
