"""What students handed in: inboxes, platforms, attempts, and the one that counts."""
