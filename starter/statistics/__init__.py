"""Rank sums, differential expression, jackknife and intervals."""
