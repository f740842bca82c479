"""What runs inside the sandbox. It imports nothing of the autograder."""
