import inspect
import json
import random
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook.similar import MAX_TEXT, compare_stage
from starter.errors import InputError
from starter.models import baselines

STAGE = "04_baselines"
ONE_LINER = (
    "    return np.mean([expression[target_gene == g].mean(axis=0).A1 for g in set(target_gene) - {CONTROL}], axis=0)"
)
SHORT = {
    "names": """\
    names = [name for name in np.unique(target_gene) if name != CONTROL]
    return np.mean([np.asarray(expression[target_gene == name].mean(axis=0)).ravel() for name in names], axis=0)""",
    "loop": """\
    total, genes = 0, set(target_gene) - {CONTROL}
    for gene in genes:
        total = total + expression[target_gene == gene].mean(axis=0)
    return np.asarray(total / len(genes)).ravel()""",
    "append": """\
    profiles = []
    for label in np.unique(target_gene):
        if label == CONTROL:
            continue
        profiles.append(np.asarray(expression[target_gene == label].mean(axis=0)).flatten())
    return np.array(profiles).mean(axis=0)""",
    "frame": """\
    keep = target_gene != CONTROL
    frame = pd.DataFrame(expression[keep].toarray())
    return frame.groupby(target_gene[keep]).mean().mean().to_numpy()""",
}
OWN = '''
import seaborn as sns

class Strongest:
    """Genes with the largest effects of a few perturbations."""

    def __init__(self, profiles, reference, n_top=15):
        self.profiles = profiles
        self.reference = reference  # the controls
        self.n_top = n_top

    def of(self, target):
        effect = self.profiles.loc[target] - self.reference
        order = effect.abs().sort_values(ascending=False).index[: self.n_top]
        return effect[order]

    def table(self, targets):
        # a column a target
        columns = {target: self.of(target) for target in targets}
        return pd.DataFrame(columns).fillna(0.0)
'''
RENAMED = """
# my own helper!
class TopGenes:
    '''for the heat map'''
    def __init__(self, pb, ctrl, k=15):
        self.pb = pb
        self.ctrl = ctrl
        self.k = k
    def get(self, g):   # <script>alert("&")</script>
        d = self.pb.loc[g] - self.ctrl
        idx = d.abs().sort_values(ascending=False).index[: self.k]
        return d[idx]
    # all of them
    def frame(self, gs):
        out = {g: self.get(g) for g in gs}
        return pd.DataFrame(out).fillna(0.0)
"""


@pytest.fixture
def course(tmp_path: Path) -> Course:
    """A course with one stage: a blank, and a cell after it."""
    (tmp_path / "course.toml").write_text(f'[course]\nname = "c"\n[stages.{STAGE}]\ntitle = "Base < lines"\n')
    stub = "    raise NotImplementedError('this part is yours')"
    for room, answer in (("assignments", stub), ("solutions", SHORT["names"])):
        write(tmp_path / room / STAGE, answer)
    return read_course(tmp_path)


def write(folder: Path, answer: str, *own: str) -> None:
    """Write a notebook with an answer and cells of one's own."""
    grader = {"grade_id": "train_mean_code", "solution": True}
    blank = 'def train_mean(expression, target_gene):\n    """Average the profiles."""\n'
    sources = [("import numpy as np\nimport pandas as pd", {}), (blank + answer, {"nbgrader": grader})]
    sources += [("mean = pd.Series(train_mean(expression, target_gene))", {}), *((source, {}) for source in own)]
    cells = [{"cell_type": "code", "source": source, "metadata": about} for source, about in sources]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{STAGE}.ipynb").write_text(json.dumps({"nbformat": 4, "cells": cells}))


def graded(course: Course, students: Mapping[str, tuple[str, ...]]) -> None:
    for student, content in students.items():
        write(course.grading / "normalised" / student / STAGE, *content)


def found(course: Course) -> list[tuple[str, str]]:
    return [pair.students for pair in compare_stage(course, STAGE)[0]]


class Marks(HTMLParser):
    """Collects the marked text of a page by side, and which elements it has."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sides, self.tags, self.inside = [], set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if dict(attrs).get("class") == "code":
            self.sides.append([])
        if tag in ("mark", "sup"):
            self.inside.append(tag)

    def handle_endtag(self, tag):
        if tag in ("mark", "sup"):
            self.inside.pop()

    def handle_data(self, data):
        if self.inside == ["mark"]:
            self.sides[-1].append(data)


def test_short_answers_that_are_alike_are_no_hint(course: Course):
    answers = [ONE_LINER, *SHORT.values()]
    graded(course, {f"s{i}{j}": (answer,) for i, answer in enumerate(answers) for j in range(2)})
    assert found(course) == []
    assert "No two submissions share that much." in (course.grading / "similar" / f"{STAGE}.html").read_text()


def test_a_copy_with_other_names_comments_and_spaces_is_at_the_top(course: Course):
    mix = random.Random(3)
    lines = [f"plt.{name}(x[{n}], y, lw={n})" for n, name in enumerate(["plot", "bar", "step", "stem", "fill"] * 8)]
    others = {f"s{i}": (mix.choice(list(SHORT.values())), "\n".join(mix.sample(lines, 12))) for i in range(40)}
    graded(course, others | {"zed": (SHORT["loop"], OWN), "abe": (SHORT["frame"], "x = 1", RENAMED)})
    pairs, path, notes = compare_stage(course, STAGE)
    assert pairs[0].students == ("abe", "zed")
    assert pairs[0].share == 1  # an import is too short to count, and the answers are usual
    assert all(pair.share < 0.5 for pair in pairs[1:])
    assert notes == []
    left, right = Marks(path.read_text()).sides[:2]
    assert "class TopGenes:" in left[0] and "class Strongest:" in right[0]
    assert any("effect.abs().sort_values" in text for text in right)
    assert not any("a column a target" in text or "import seaborn" in text for text in right)
    assert re.search(r'<mark class="c1"><sup>1</sup>class TopGenes:', path.read_text())


def test_the_page_runs_nothing_and_shows_names_and_code_as_text(course: Course):
    file = course.root / "course.toml"
    file.write_text(file.read_text() + '[roster]\nstudents = [{id="ada", name="<img src=x onerror=alert(1)>"}]\n')
    graded(course, {"ada": (SHORT["loop"], OWN + "\x1b[31m\u202e</mark></span><b>"), "bob": (SHORT["loop"], RENAMED)})
    _, path, _ = compare_stage(read_course(course.root), STAGE)
    page = path.read_text()
    assert Marks(page).tags.isdisjoint({"script", "img", "link", "iframe"})
    assert "Content-Security-Policy" in page
    assert "&lt;img src=x onerror=alert(1)&gt; (ada)" in page
    assert "&lt;script&gt;alert(" in page
    assert "\x1b" not in page and "\u202e" not in page
    assert page.index("This is a hint where to look, not a proof") < page.index("submissions of")


def test_what_many_or_the_instructor_wrote_is_usual(course: Course):
    graded(course, {f"s{i}": (SHORT["loop"], OWN) for i in range(6)})
    assert found(course) == []
    graded(course, {f"t{i}": (SHORT["frame"],) for i in range(54)})
    assert len(found(course)) == 15  # pairs of six, who are a tenth of the class
    write(course.root / "solutions" / STAGE, SHORT["names"], OWN)
    assert found(course) == []


def test_a_team_counts_once_and_is_not_compared_with_itself(course: Course):
    teams = {"a1": "one", "a2": "one", "a3": "one", "b1": "two", "b2": "two"}
    lines = ", ".join(f'{{id="{name}", team="{team}"}}' for name, team in teams.items())
    file = course.root / "course.toml"
    file.write_text(f"{file.read_text()}[roster]\nstudents = [{lines}]\n")
    graded(course, {name: (SHORT["loop"], OWN) for name in ("a1", "a2", "a3")})
    graded(course, {"b1": (SHORT["frame"],), "b2": (SHORT["frame"],)})
    assert found(read_course(course.root)) == []
    graded(course, {"b1": (SHORT["loop"], RENAMED), "b2": (SHORT["loop"], RENAMED)})
    assert len(found(read_course(course.root))) == 1  # one pair of teams, not six of students


def test_a_text_that_cannot_be_read_fails_alone_and_a_long_one_is_cut(course: Course):
    graded(course, {"ada": (SHORT["loop"], OWN), "bob": (SHORT["loop"], RENAMED), "cyd": ("x",)})
    graded(course, {"dan": (SHORT["loop"], "\n".join(f"a{i} = {i}" for i in range(9000)))})
    (course.grading / "normalised" / "cyd" / STAGE / f"{STAGE}.ipynb").write_text('{"cells": [7]}')
    pairs, _, notes = compare_stage(course, STAGE)
    assert [pair.students for pair in pairs] == [("ada", "bob")]
    assert len(notes) == 2
    assert notes[0].startswith("cyd: not compared (TypeError: ")
    assert re.fullmatch(rf"dan: only the first {MAX_TEXT:,} of \d\d\d,\d\d\d characters of code are compared", notes[1])


def pasted(renamed: bool) -> str:
    """The kit's bilinear model, as a student would paste it."""
    code = inspect.getsource(baselines.bilinear)
    return re.sub(r"\b(profiles|known|targets)\b", r"my_\1", code) if renamed else code


def test_code_from_the_kits_left_out_modules_is_a_hint_however_many_have_it(course: Course):
    graded(course, {"own": (ONE_LINER, OWN), "frame": (SHORT["frame"],)})
    assert compare_stage(course, STAGE)[0] == []
    graded(course, {f"copy{i}": (SHORT["loop"], pasted(renamed=i % 2 == 1)) for i in range(20)})
    pairs = compare_stage(course, STAGE)[0]
    assert {pair.students for pair in pairs} == {(f"copy{i}", "starter/models/baselines.py") for i in range(20)}
    assert all(pair.of_kit and 0.5 < pair.share <= 1 and pair.shared > 250 for pair in pairs)
    page = (course.grading / "similar" / f"{STAGE}.html").read_text()
    mine, kits = Marks(page).sides[:2]
    assert "def bilinear(" in "".join(kits) and "def bilinear(" in "".join(mine)


def test_code_that_students_have_in_their_notebook_is_not_from_the_kit(course: Course):
    for room in ("assignments", "solutions"):
        write(course.root / room / STAGE, "    pass", pasted(renamed=False))
    graded(course, {"ada": (SHORT["loop"], pasted(renamed=True)), "bob": (SHORT["frame"],)})
    assert found(course) == []


def test_a_team_that_copied_from_the_kit_is_shown_once(course: Course):
    path = course.root / "course.toml"
    path.write_text(path.read_text() + '[roster]\nstudents = [{id = "ada", team = "t"}, {id = "bob", team = "t"}]\n')
    graded(course, {name: (SHORT["loop"], pasted(renamed=False)) for name in ("bob", "ada")})
    pairs = compare_stage(read_course(course.root), STAGE)[0]
    assert [pair.students for pair in pairs] == [("ada", "starter/models/baselines.py")]
    done = CliRunner().invoke(app, ["similar", STAGE, "--course", str(course.root)], env={"COLUMNS": "200"})
    assert "Code that left-out modules of the kit have too: a hint, not a proof" in done.stdout
    assert re.search(r"ada and starter/models/baselines.py +│", done.stdout)
    assert "no two submissions share much unusual code" in done.stdout


def test_the_command_prints_pairs_and_the_page(course: Course):
    graded(course, {"ada": (SHORT["loop"], OWN), "bob": (SHORT["loop"], RENAMED)})
    done = CliRunner().invoke(app, ["similar", STAGE, "--course", str(course.root)], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert re.search(r"ada and bob +│ +100 % │ +\d\d\d ", done.stdout)
    assert f"wrote {course.grading / 'similar' / STAGE}.html" in done.stdout


def test_too_few_submissions_and_an_unreleased_stage_say_what_to_run(course: Course):
    with pytest.raises(
        InputError, match="nothing to compare: 0 submissions of 04_baselines; run first: autograder grade"
    ):
        compare_stage(course, STAGE)
    graded(course, {"ada": (ONE_LINER,)})
    with pytest.raises(InputError, match="nothing to compare: 1 submission of 04_baselines"):
        compare_stage(course, STAGE)
    (course.root / "assignments" / STAGE / f"{STAGE}.ipynb").unlink()
    with pytest.raises(InputError, match="04_baselines was not released: there is no .*; run: autograder release"):
        compare_stage(course, STAGE)
    with pytest.raises(InputError, match="has no stage '09_none'"):
        compare_stage(course, "09_none")


def test_untouched_notebooks_share_nothing(course: Course):
    graded(course, {name: ("    raise NotImplementedError('this part is yours')",) for name in ("ada", "bob")})
    assert found(course) == []
