"""What an answer is.

Kinds of answers, how they are compared, how they are said in words. Local checks and grading share it.
"""
