"""nbgrader's side: the book of grades, late days, feedback, exports."""
