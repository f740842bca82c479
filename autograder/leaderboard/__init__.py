"""The class's table of predictions: accounts, uploads, the queue, scores, ranks."""
