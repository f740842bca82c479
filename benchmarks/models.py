"""`python -m benchmarks.models demo/papalexi`: what the neural models of notebooks 05 to 08 score beside simple ones.

On simulated screens of seeds that nothing was tuned on: 48 of 240 perturbations are hidden, the models learn from the
others and predict them once. On the `hard` preset, and on released courses (their hidden targets counted in): five
folds by perturbation.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import anndata
import numpy as np
import typer

from autograder.course import read_course
from benchmarks.baselines import Trial, in_folds, print_folds, print_head, print_row, strong_targets, with_interval
from benchmarks.watch import machine
from starter.console import run
from starter.data import dataset, preprocess, pseudobulk
from starter.data.course import CourseData, open_course
from starter.models import baselines, cvae, gnn, set_transformer, transformer, tuning
from starter.models.scgpt import finetuning, pretraining, weights
from starter.priors import features, graphs
from starter.priors.conditions import side_by_side
from starter.priors.tables import read_annotations, read_features, read_regulons
from starter.progress import bar
from starter.schema import CONTROL, COURSE, TARGET_GENE
from starter.simulation import biology
from starter.simulation.write import write

VERSIONS = ("virtual-cell-course", "torch", "scikit-learn", "numpy")
HIDDEN = 48
METRICS = ("discrimination_score_l1", "pearson_delta", "pearson_delta_train_mean", "mae")
HEADINGS = ["PDS", "Pearson delta", "Pearson delta vs train mean", "MAE"]


def trials(course: CourseData, screen: anndata.AnnData) -> Iterator[Trial]:
    """List the models with what they know of a screen.

    Parameters
    ----------
    course
        Where the priors are.
    screen
        Cells of all perturbations; a model looks at those of its training perturbations only.
    """
    graph = graphs.read_graph(course.priors("*graph.tsv"))
    annotations = read_annotations(course.priors("*annotations.tsv"))
    expression, labels = preprocess.expression(screen), screen.obs[TARGET_GENE].astype(str).to_numpy()
    controls = expression[labels == CONTROL]
    tables = {"annotations": features.annotation_features(annotations), "graph": features.graph_features(graph)}
    if course.has_prior("*features.parquet"):
        tables["embedding"] = read_features(course.priors("*features.parquet"))
    coexpression = features.coexpression_features(controls, screen.var_names)
    yield Trial("train mean", baselines.train_mean, None)
    yield Trial("neighbour mean", graphs.neighbour_mean, graph)
    yield Trial("kNN, annotations", baselines.knn, tables["annotations"])
    yield Trial("elastic net, graph", baselines.elastic_net, tables["graph"])

    yield Trial("05 conditional VAE", cvae.cvae, cvae.known_of(screen, tables))

    by_name = {
        "annotations": graphs.annotation_graph(annotations),
        "co-expression": graphs.coexpression_graph(controls, screen.var_names, min(0.4, 5 / controls.shape[0] ** 0.5)),
        "graph": graph,
        "regulons": graphs.regulon_graph(read_regulons(course.priors("*regulons.tsv"))),
    }
    rng = np.random.default_rng(0)
    yield Trial("06 graph network", gnn.gnn, by_name)
    shuffled = {name: graphs.shuffle_graph(edges, rng) for name, edges in by_name.items()}
    yield Trial("06 graph network, shuffled graphs", gnn.gnn, shuffled)

    of_targets = side_by_side(list(tables.values()))
    yield Trial("07 attention over genes", transformer.gene_transformer, transformer.Known(of_targets, coexpression))
    of_cells = set_transformer.KnownCells(of_targets, expression, screen.obs)
    yield Trial("07 attention over cells", set_transformer.set_transformer, of_cells)

    pretrained, vocabulary, _ = pretraining.pretrain(controls, screen.var_names)
    with tempfile.TemporaryDirectory() as folder:
        weights.save(pretrained, vocabulary, folder)
        model, vocabulary = weights.load(folder)
    yield Trial("08 mini scGPT, fine-tuned", finetuning.scgpt, finetuning.Pretrained(model, vocabulary))
    embedding = pretraining.gene_embeddings(model, vocabulary, screen.var_names)
    begin = pretraining.starting_tokens(vocabulary, controls, screen.var_names, embedding.shape[1])
    for name, table in (("its frozen embedding", embedding), ("the embedding's start, untrained", begin)):
        yield Trial(f"08 {name}, ridge", baselines.ridge, table)
        yield Trial(f"08 {name}, random forest", baselines.random_forest, table)


def print_held_out(found: list[Trial], screen: anndata.AnnData, seed: int) -> None:
    """Hide perturbations at random, predict them once, and print what that scores."""
    profiles = pseudobulk.profiles(screen).droplevel("context")
    names = profiles.index.drop(CONTROL)
    hidden = sorted(np.random.default_rng(seed).choice(names, HIDDEN, replace=False))
    training = profiles.drop(index=hidden)
    scores, seconds = {}, {}
    with bar(f"seed {seed}", len(found)) as advance:
        for trial in found:
            start = time.perf_counter()
            predicted = trial.model(training, trial.known, hidden)
            seconds[trial.name] = time.perf_counter() - start
            scores[trial.name] = tuning.profile_scores(profiles.loc[hidden], predicted, training)
            advance()
    print(
        f"{HIDDEN} hidden of {len(names)} perturbations, each predicted once. In brackets: 95 % interval over them of "
        "the difference from the train mean.\n"
    )
    print_head(["model", *HEADINGS, "seconds"])
    for name, table in scores.items():
        compared = tuning.compare(table, scores["train mean"])
        values = [with_interval(compared.loc[metric], 4 if metric == "mae" else 3) for metric in METRICS]
        print_row([name, *values, f"{seconds[name]:.1f}"])
    difference = tuning.compare(scores["06 graph network"], scores["06 graph network, shuffled graphs"])
    row = difference.loc["discrimination_score_l1"]
    ends = f"[{row['low']:+.3f}, {row['high']:+.3f}]"
    print(f"\nGraph network less the same on shuffled graphs, PDS: {row['difference']:+.3f} {ends}\n", flush=True)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    courses: Annotated[
        list[Path] | None, typer.Argument(help="Folders of released courses, with their course.toml.")
    ] = None,
    seeds: Annotated[list[int], typer.Option("--seed", help="Of simulated screens.")] = [101, 102],  # noqa: B006
) -> None:
    """Print what every model scores, as tables (markdown)."""
    print(f"{machine(VERSIONS)}\n")
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path = write(biology.draw("default", seed), folder)
            screen = dataset.read_screen(path)
            print(f"**{screen.uns[COURSE]['title']}, seed {seed}**\n")
            print_held_out(list(trials(CourseData(Path(folder)), screen)), screen, seed)
    with tempfile.TemporaryDirectory() as folder:
        screen = dataset.read_screen(write(biology.draw("hard", seeds[0]), folder))
        print_in_folds(CourseData(Path(folder)), screen)
    for root in courses or []:
        settings = read_course(root)
        course = open_course(settings.public_folder)
        hidden = dataset.read_screen(settings.hidden_folder / "hidden.h5ad")
        targets = hidden[hidden.obs[TARGET_GENE] != CONTROL]
        screen = anndata.concat([course.train(), targets], merge="same", uns_merge="first")
        print_in_folds(course, screen)


def print_in_folds(course: CourseData, screen: anndata.AnnData) -> None:
    """Predict every perturbation in five folds, and print what that scores."""
    print(f"**{screen.uns[COURSE]['title']}**\n")
    profiles = pseudobulk.profiles(screen).droplevel("context")
    scores = in_folds(list(trials(course, screen)), profiles, seeds=1)
    print_folds(scores, strong_targets(screen), 1, pilot=False)


if __name__ == "__main__":
    run(app)
