"""How bytes come from the web or a bucket, and how it is told that they are right."""
