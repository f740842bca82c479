"""A stage as a student has it: what it asks, how far one is, and handing it in."""
