"""The simple models that a large one must beat.

All have one form: `model(profiles, known, targets)`, with the training profiles of one context (index perturbation with
the control, columns genes, mean log1p expression), what is known beforehand (features, a graph, numbers of cells; None
where nothing is needed), and the perturbations to predict. All give a table of predicted profiles, one row a target,
never below 0. A target of which nothing is known gets the train mean; `starter.priors.features.unknown` and
`starter.priors.graphs.without_neighbour` list those.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import RegressorMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import normalize

from starter.errors import InputError, listed
from starter.priors.features import of_targets
from starter.priors.graphs import neighbour_mean
from starter.schema import CONTROL, PERTURBATION

Model = Callable[[pd.DataFrame, Any, Sequence[str]], pd.DataFrame]
"""(profiles, known, targets) -> predicted profiles, as the module's docstring says; settings may follow as keywords.

Every model of one context has this form, and what its own docstring does not say of them holds as here.
`starter.models.kit` makes of each a model that learns and predicts in two steps, in every context.
"""
Profiles = Callable[[Sequence[str]], pd.DataFrame]
"""A model of one context that has learned: targets -> predicted profiles."""

EFFECT_COMPONENTS = 20
"""Principal components of the training effects that forest and elastic net learn, in place of every gene."""
GENE_COMPONENTS = 10
"""Of the bilinear model; as published."""
BILINEAR_PENALTY = 0.1
"""Of the bilinear model, on both sides; as published."""


def control_mean(profiles: pd.DataFrame, known: None, targets: Sequence[str]) -> pd.DataFrame:
    """Predict that nothing happens: the control profile."""
    del known
    _training(profiles)
    return _constant(profiles, profiles.loc[CONTROL], targets)


def train_mean(profiles: pd.DataFrame, known: None, targets: Sequence[str]) -> pd.DataFrame:
    """Predict the unweighted mean of the training profiles, without the control (Csendes et al. 2025)."""
    del known
    return _constant(profiles, _training(profiles).mean(), targets)


def perturbed_mean(profiles: pd.DataFrame, known: pd.Series, targets: Sequence[str]) -> pd.DataFrame:
    """Predict the mean over all perturbed training cells: the train mean with perturbations weighed by their cells.

    Parameters
    ----------
    profiles, targets
        As of every `Model`.
    known
        Cells of each training perturbation.

    References
    ----------
    The `nonctl-mean` of Systema, Viñas Torné et al. (2025), Nature Biotechnology.
    """
    training = _training(profiles)
    if missing := sorted(set(training.index) - set(known.index)):
        msg = f"the number of cells of {listed(missing)} is not given"
        raise InputError(msg)
    weight = known.loc[training.index].to_numpy(float)
    return _constant(profiles, pd.Series(weight @ training.to_numpy() / weight.sum(), profiles.columns), targets)


def additive(profiles: pd.DataFrame, known: None, targets: Sequence[str]) -> pd.DataFrame:
    """Predict a double A+B by the sum of the effects of A and of B; a gene that was not measured adds the mean effect.

    c + sum (mu_g - c), Ahlmann-Eltze et al. (2025), Nature Methods 22:1657. For a single gene it is the train mean.
    """
    del known
    training, control = _training(profiles), profiles.loc[CONTROL]
    effects = training - control
    mean = effects.mean()
    rows = [
        control + sum(effects.loc[gene] if gene in effects.index else mean for gene in target.split("+"))
        for target in targets
    ]
    return _profiles(np.array(rows), targets, profiles)


def ridge(profiles: pd.DataFrame, known: pd.DataFrame, targets: Sequence[str], penalty: float = 1.0) -> pd.DataFrame:
    """Draw a plane through effects over features (each row of features scaled to length 1), with a ridge penalty.

    GenePert, Chen & Zou (2024), bioRxiv 2024.10.27.620513, with penalties .1, 1 and 10.
    """
    return fit_regression(profiles, known, ridge_regressor(penalty))(targets)


def elastic_net(
    profiles: pd.DataFrame, known: pd.DataFrame, targets: Sequence[str], penalty: float = 0.01
) -> pd.DataFrame:
    """Fit like `ridge`, but leave out the features that help little (half of the penalty on absolute weights).

    EN of Csendes et al. (2025), whose penalties were .1 and .01; here the targets are `EFFECT_COMPONENTS` components of
    the training effects.
    """
    return fit_regression(profiles, known, elastic_net_regressor(penalty), EFFECT_COMPONENTS)(targets)


def knn(profiles: pd.DataFrame, known: pd.DataFrame, targets: Sequence[str], k: int = 10) -> pd.DataFrame:
    """Predict the mean of the k training perturbations whose features are most alike (cosine)."""
    n_known = len(of_targets(known, _training(profiles).index))
    return fit_regression(profiles, known, KNeighborsRegressor(max(1, min(k, n_known)), metric="cosine"))(targets)


def random_forest(
    profiles: pd.DataFrame, known: pd.DataFrame, targets: Sequence[str], trees: int = 100
) -> pd.DataFrame:
    """Average many decision trees, each grown on a sample of the training perturbations.

    RF of Csendes et al. (2025), whose numbers of trees were 100 and 300. To be quick on a laptop, a split looks at a
    third of the features, and the targets are `EFFECT_COMPONENTS` components of the training effects.
    """
    return fit_regression(profiles, known, forest_regressor(trees), EFFECT_COMPONENTS)(targets)


def bilinear(
    profiles: pd.DataFrame, known: pd.DataFrame | None, targets: Sequence[str], penalty: float = BILINEAR_PENALTY
) -> pd.DataFrame:
    """Predict effects as b + P W G': a linear map from the target's row to the genes' rows.

    G holds the first `GENE_COMPONENTS` principal components of the training profiles, a row a gene; P the rows of the
    perturbed genes in it, or their features; b the mean training effect; and W = (P'P + l I)^-1 P'(Y - b) G
    (G'G + l I)^-1 with Y the training effects, perturbations x genes. Ahlmann-Eltze et al. (2025), Nature Methods
    22:1657, written with perturbations as rows. Their code counts the control among the training conditions; here it
    is left out, so that b is the train mean's effect.

    Parameters
    ----------
    profiles, targets
        As of every `Model`.
    known
        Features of the targets; None for the targets' own rows in G, which only targets that are among the genes have.
    penalty
        l, on both sides.
    """
    training = _training(profiles)
    n = min(GENE_COMPONENTS, *(size - 1 for size in training.shape))
    predicted = train_mean(profiles, None, targets)
    if n < 1:
        return predicted
    g = PCA(n, random_state=0).fit_transform(training.to_numpy().T)  # genes x components
    features = pd.DataFrame(g, index=profiles.columns) if known is None else known
    p, p_new = of_targets(features, training.index), of_targets(features, targets)
    if p.empty or p_new.empty:
        return predicted
    b = training.mean()
    rest = (training.loc[p.index] - b).to_numpy()  # perturbations x genes
    w = np.linalg.solve(_penalised(p.to_numpy(), penalty), p.to_numpy().T @ rest @ g)
    w = np.linalg.solve(_penalised(g, penalty), w.T).T  # numbers of a target x components
    predicted.loc[p_new.index] = np.maximum(b.to_numpy() + p_new.to_numpy() @ w @ g.T, 0)
    return predicted


def ridge_regressor(penalty: float = 1.0) -> RegressorMixin:
    """Give the regression of `ridge`."""
    return Ridge(alpha=penalty)


def elastic_net_regressor(penalty: float = 0.01) -> RegressorMixin:
    """Give the regression of `elastic_net`."""
    return ElasticNet(alpha=penalty, l1_ratio=0.5, max_iter=20_000, random_state=0)


def forest_regressor(trees: int = 100) -> RegressorMixin:
    """Give the regression of `random_forest`."""
    return RandomForestRegressor(trees, max_features=1 / 3, random_state=0, n_jobs=2)


def fit_regression(
    profiles: pd.DataFrame, features: pd.DataFrame, model: RegressorMixin, components: int | None = None
) -> Profiles:
    """Fit a scikit-learn model from features, each row scaled to length 1, to profiles.

    Parameters
    ----------
    profiles
        As of every `Model`.
    features
        A feature table (`starter.priors.features`).
    model
        From features to profiles; it is fitted in place.
    components
        Principal components of the profiles that it learns, in place of every gene.

    Returns
    -------
    A function from targets to predicted profiles.
    """
    training = _training(profiles)
    x = of_targets(features, training.index)
    y = training.loc[x.index].to_numpy()
    able = len(x) >= 2
    reduced = PCA(min(components, len(y) - 1, y.shape[1]), random_state=0).fit(y) if able and components else None
    if able:
        model.fit(normalize(x.to_numpy()), reduced.transform(y) if reduced else y)

    def predict(targets: Sequence[str]) -> pd.DataFrame:
        predicted, x_new = train_mean(profiles, None, targets), of_targets(features, targets)
        if able and len(x_new):
            came = model.predict(normalize(x_new.to_numpy())).reshape(len(x_new), -1)
            predicted.loc[x_new.index] = np.maximum(reduced.inverse_transform(came) if reduced else came, 0)
        return predicted

    return predict


MODELS: dict[str, Model] = {
    "control mean": control_mean,
    "train mean": train_mean,
    "perturbed mean": perturbed_mean,
    "additive": additive,
    "neighbour mean": neighbour_mean,
    "bilinear": bilinear,
    "ridge": ridge,
    "elastic net": elastic_net,
    "kNN": knn,
    "random forest": random_forest,
}
"""Every model by name."""


def _training(profiles: pd.DataFrame) -> pd.DataFrame:
    """Give the profiles without the control's."""
    if CONTROL not in profiles.index:
        msg = f"the training profiles have no row {CONTROL!r}; keep the control's profile among them"
        raise InputError(msg)
    training = profiles.drop(index=CONTROL)
    if training.empty:
        msg = "there is no training perturbation to learn from, only the control"
        raise InputError(msg)
    return training


def _penalised(rows: np.ndarray, penalty: float) -> np.ndarray:
    return rows.T @ rows + penalty * np.eye(rows.shape[1])


def _constant(profiles: pd.DataFrame, profile: pd.Series, targets: Sequence[str]) -> pd.DataFrame:
    return _profiles(np.tile(profile.to_numpy(float), (len(targets), 1)), targets, profiles)


def _profiles(values: np.ndarray, targets: Sequence[str], profiles: pd.DataFrame) -> pd.DataFrame:
    index = pd.Index(list(targets), name=PERTURBATION)
    return pd.DataFrame(
        np.maximum(values, 0).reshape(len(index), profiles.shape[1]), index=index, columns=profiles.columns
    )
