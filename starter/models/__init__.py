"""The models of the course, from the train mean to transformers."""
