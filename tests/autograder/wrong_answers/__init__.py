"""Wrong answers by stage and question: what must be told, and what is written in place of the solution.

A wrong answer is (cause, old text, new text, ...), an edit of the solution, or (cause, text), another filling of the
blank. The cause is a part of the sentence that the check has to name.
"""
