"""The measured side of a score: built once, with its baseline and its replicate."""
