"""From raw public data to course data sets, with lineage."""
