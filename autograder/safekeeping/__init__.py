"""A course as it was: backups that are restored elsewhere, and one step back."""
