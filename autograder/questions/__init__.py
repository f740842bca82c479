"""What is asked of the students' notebooks, and the values due: a folder a stage, a file a question."""
