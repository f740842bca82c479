"""What instructors run. Students never get it: the answers due live here."""
