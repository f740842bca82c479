"""What instructors run. Students never get it: the answers due live here.

Throughout, `course` is what its `course.toml` says, and `stage` is the name of a notebook's folder, such as
`04_baselines`.
"""
