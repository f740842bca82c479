"""nbgrader's settings for this course: `nbgrader formgrader` and the others read this file."""

from autograder.course import read_course
from autograder.gradebook.book import configuration

c = get_config()  # noqa: F821  (nbgrader provides it)
c.merge(configuration(read_course(__file__.replace("nbgrader_config.py", "course.toml"))))
