"""Whether the ideas of notebooks 05 to 08 add anything to their models: `python -m benchmarks.models demo/papalexi`.

Each stands beside itself with its idea taken out, and beside simple models on the same tables of features, joined. On
simulated screens of seeds that nothing was tuned on: 48 of 240 perturbations are hidden, the models learn from the
others and predict them once. On the `hard` preset, and on real screens (a course's hidden targets counted in): five
folds by perturbation.
"""

import functools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import anndata
import numpy as np
import pandas as pd
import typer
from threadpoolctl import threadpool_limits

from autograder.course import FILE, read_course
from benchmarks.baselines import Trial, in_folds, print_folds, print_head, print_row, strong_targets, with_interval
from benchmarks.watch import machine
from starter.console import run
from starter.data import dataset, preprocess, pseudobulk
from starter.data.course import CourseData, open_course
from starter.errors import InputError, listed
from starter.models import (
    baselines,
    cvae,
    gene_task,
    gnn,
    message_passing,
    set_task,
    set_transformer,
    transformer,
    tuning,
)
from starter.models.conditioned_cells import known_of
from starter.models.scgpt import finetuning, masked_values, pretraining, weights
from starter.models.scgpt.vocabulary import CLS, PAD, Vocabulary
from starter.priors import features, graphs
from starter.priors.conditions import side_by_side
from starter.priors.tables import read_annotations, read_features, read_regulons
from starter.progress import bar
from starter.schema import CONTROL, COURSE, TARGET_GENE
from starter.simulation import biology
from starter.simulation.write import write
from starter.training import loop

VERSIONS = ("virtual-cell-course", "torch", "scikit-learn", "numpy")
HIDDEN = 48
METRICS = ("discrimination_score_l1", "pearson_delta", "pearson_delta_train_mean", "mae")
HEADINGS = ["PDS", "Pearson delta", "Pearson delta vs train mean", "MAE"]
SIMPLE = ("kNN", "ridge", "random forest", "elastic net")
"""Models of `starter.models.baselines` that take a table of features."""
BEST = "best simple model, chosen in the training part"
WITHOUT = {
    "05 conditional VAE": {"z": "05 conditional VAE, z off"},
    "06 graph network": {
        "the graph": "06 graph network, shuffled graphs",
        "what neighbours did": "06 graph network, shuffled features",
        "passing messages": "06 graph network, no graph",
    },
    "07 attention over genes": {"attention over genes": "07 attention over genes, no attention"},
    "07 attention over cells": {"attention over cells": "07 attention over cells, no attention"},
    "08 mini scGPT, fine-tuned": {
        "pre-training": "08 mini scGPT, fine-tuned, not pre-trained",
        "what a token knows": "08 mini scGPT, fine-tuned, shuffled embedding",
    },
    "08 frozen embedding, random forest": {
        "pre-training": "08 untrained embedding, random forest",
        "what a token knows": "08 shuffled embedding, random forest",
    },
}
"""The neural models, and for each: an idea, and the model without it."""


def best_simple(profiles: pd.DataFrame, known: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Predict by that model of `SIMPLE` which has the highest PDS in three folds of the training perturbations."""
    fold_of = tuning.folds(profiles.index, n_folds=3)
    scores = {
        name: tuning.cross_validate(baselines.MODELS[name], profiles, known, fold_of)["discrimination_score_l1"].mean()
        for name in SIMPLE
    }
    return baselines.MODELS[max(SIMPLE, key=scores.__getitem__)](profiles, known, targets)


def no_graph(profiles: pd.DataFrame, known: pd.DataFrame, targets: Sequence[str]) -> pd.DataFrame:
    """Train the network of notebook 06 on the features of each target, in place of messages."""
    predicted = baselines.train_mean(profiles, None, targets)
    learned, wanted = (features.of_targets(known, names) for names in (profiles.index.drop(CONTROL), targets))
    if len(learned) < 2 or wanted.empty:
        return predicted
    with loop.seeded(0):
        network = gnn.GraphNetwork(known.shape[1], profiles.shape[1])
    control, measured = profiles.loc[CONTROL].to_numpy(float), profiles.loc[learned.index].to_numpy(float)
    answer, _ = message_passing.train(network, learned.to_numpy(), measured, control, direction_loss=gnn.direction_loss)
    predicted.loc[wanted.index] = np.maximum(answer(wanted.to_numpy()), 0)
    return predicted


def shuffled_numbers(values: np.ndarray) -> np.ndarray:
    """Give each measured target the numbers that stand for another's effect."""
    return np.random.default_rng(0).permutation(message_passing.effect_numbers(values))


def shuffled_tokens(vocabulary: Vocabulary) -> Vocabulary:
    """Give each gene another gene's token."""
    genes = [token for token in vocabulary.numbers if token not in (PAD, CLS)]
    others = np.random.default_rng(0).permutation(genes)
    moved = {gene: vocabulary.numbers[str(other)] for gene, other in zip(genes, others, strict=True)}
    return Vocabulary({**vocabulary.numbers, **moved})


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
    of_targets = side_by_side(list(tables.values()))
    for name in SIMPLE:
        yield Trial(f"{name}, all tables", baselines.MODELS[name], of_targets)
    yield Trial(BEST, best_simple, of_targets)

    known = known_of(screen, tables)
    yield Trial("05 conditional VAE", cvae.cvae, known)
    yield Trial("05 conditional VAE, z off", functools.partial(cvae.cvae, n_latent=0), known)

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
    mixed = functools.partial(gnn.gnn, features=shuffled_numbers)
    yield Trial("06 graph network, shuffled features", mixed, by_name)
    yield Trial("06 graph network, no graph", no_graph, of_targets)

    of_genes = gene_task.Known(of_targets, coexpression)
    of_cells = set_task.KnownCells(of_targets, expression, screen.obs)
    for what, model, network, known in (
        ("genes", transformer.gene_transformer, transformer.GeneTransformer, of_genes),
        ("cells", set_transformer.set_transformer, set_transformer.SetTransformer, of_cells),
    ):
        yield Trial(f"07 attention over {what}", model, known)
        alone = functools.partial(model, network=functools.partial(network, alone=True))
        yield Trial(f"07 attention over {what}, no attention", alone, known)

    try:
        pretrained, vocabulary, _ = pretraining.pretrain(
            controls, screen.var_names, masked_values.bin_values, masked_values.masked_error
        )
    except InputError as error:
        print(f"Without the mini scGPT: {error}.\n")
        return
    begin, _ = pretraining.untrained(controls, screen.var_names)
    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name, model in (("trained", pretrained), ("untrained", begin)):
            weights.save(model, vocabulary, Path(folder) / name)
            made[name], _ = weights.load(Path(folder) / name)
    tuned = "08 mini scGPT, fine-tuned"
    yield Trial(tuned, finetuning.scgpt, finetuning.Pretrained(made["trained"], vocabulary))
    yield Trial(f"{tuned}, not pre-trained", finetuning.scgpt, finetuning.Pretrained(made["untrained"], vocabulary))
    moved = finetuning.Pretrained(made["trained"], shuffled_tokens(vocabulary))
    yield Trial(f"{tuned}, shuffled embedding", finetuning.scgpt, moved)
    embeddings = {
        "frozen": pretraining.gene_embeddings(made["trained"], vocabulary, screen.var_names),
        "untrained": pretraining.starting_tokens(vocabulary, controls, screen.var_names, pretrained.sizes.width),
    }
    embeddings["shuffled"] = embeddings["frozen"].set_axis(rng.permutation(embeddings["frozen"].index))
    for name, table in embeddings.items():
        yield Trial(f"08 {name} embedding, ridge", baselines.ridge, table)
        yield Trial(f"08 {name} embedding, random forest", baselines.random_forest, table)


def print_verdicts(scores: Mapping[str, pd.DataFrame]) -> None:
    """Print each neural model less itself without its idea, and less the best simple model (markdown)."""
    print("\nEach model less the one beside it, on the same perturbations, with 95 % intervals:\n")
    print_head(["model", "less", "by PDS", "by Pearson delta vs train mean"])
    for name, ideas in ((name, ideas) for name, ideas in WITHOUT.items() if name in scores):
        for idea, other in (ideas | {"the network": BEST}).items():
            compared = tuning.compare(scores[name], scores[other])
            print_row([name, other, *(tuning.verdict(idea, compared.loc[metric]) for metric in METRICS[:3:2])])
    print(flush=True)


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
            with threadpool_limits(1, user_api="blas"):  # as in folds
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
    print_verdicts(scores)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Real screens: folders of released courses, or folders with a course data set and its priors/. "
            "Default: simulated screens."
        ),
    ] = None,
    seeds: Annotated[list[int], typer.Option("--seed", help="Of simulated screens.")] = [301, 302],  # noqa: B006
) -> None:
    """Print what every model scores, as tables (markdown)."""
    print(f"{machine(VERSIONS)}\n")
    for root in folders or []:
        print_in_folds(*real_screen(root))
    if folders:
        return
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            path = write(biology.draw("default", seed), folder)
            screen = dataset.read_screen(path)
            print(f"**{screen.uns[COURSE]['title']}, seed {seed}**\n")
            print_held_out(list(trials(CourseData(Path(folder)), screen)), screen, seed)
    with tempfile.TemporaryDirectory() as folder:
        screen = dataset.read_screen(write(biology.draw("hard", seeds[0]), folder))
        print_in_folds(CourseData(Path(folder)), screen)


def real_screen(root: Path) -> tuple[CourseData, anndata.AnnData]:
    """Open all cells of a screen, hidden ones too, and what is known of its genes."""
    if not (root / FILE).is_file():
        found = list(root.glob("*.h5ad"))
        if len(found) != 1:
            msg = f"{root} holds neither a {FILE} nor one course data set: {listed([path.name for path in found])}"
            raise InputError(msg)
        return CourseData(root), dataset.read_screen(found[0])
    settings = read_course(root)
    course = open_course(settings.public_folder)
    hidden = dataset.read_screen(settings.hidden_folder / "hidden.h5ad")
    targets = hidden[hidden.obs[TARGET_GENE] != CONTROL]
    return course, anndata.concat([course.train(), targets], merge="same", uns_merge="first")


def print_in_folds(course: CourseData, screen: anndata.AnnData) -> None:
    """Predict every perturbation in five folds, and print what that scores."""
    print(f"**{screen.uns[COURSE]['title']}**\n")
    profiles = pseudobulk.profiles(screen).droplevel("context")
    scores = in_folds(list(trials(course, screen)), profiles, seeds=1)
    print_folds(scores, strong_targets(screen), 1, pilot=False)
    print_verdicts({name: table for name, (table,) in scores.items()})


if __name__ == "__main__":
    run(app)
