"""Text of a student's, made safe to print."""


def printable(text: str) -> str:
    """Leave a student's text no way to steer a terminal, and nothing that cannot be written as UTF-8."""
    return "".join(character if character.isprintable() else " " for character in text)
