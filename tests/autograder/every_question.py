"""Every question of the kit, by stage and name."""

import importlib
from pathlib import Path

import autograder.questions
from autograder.questions.question import Question

STAGES = sorted(path.stem for path in Path(autograder.questions.__file__).parent.glob("[0-9]*"))
QUESTIONS: dict[str, Question] = {
    f"{stage}-{question.name}": question
    for stage in STAGES
    for question in importlib.import_module(f"autograder.questions.{stage}").QUESTIONS
}
