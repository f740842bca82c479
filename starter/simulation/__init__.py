"""A simulated screen, of which the truth is known."""
