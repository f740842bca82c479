"""My model: a perturbation does what perturbations of related genes do, each weighed by how alike the features are."""

import numpy as np
import pandas as pd

SHARPNESS = 12  # the larger, the more the most alike genes count


def fit(data):
    """Learn: keep each gene's features as a row of length 1, and what each training perturbation did."""
    table = pd.concat([rows / np.linalg.norm(rows) for rows in data.features.values()], axis=1).fillna(0)
    table = table.div(np.linalg.norm(table, axis=1), axis=0)
    return table, data.effects, data.controls


def predict(model, pairs):
    """Answer: the control of the context plus the weighted mean of the training effects there."""
    table, effects, controls = model
    rows = []
    for context, gene in pairs:
        known = effects.loc[context]
        weight = np.ones(len(known))
        if gene in table.index:
            alike = table.reindex(known.index).fillna(0) @ table.loc[gene]  # cosine, 1 is most alike
            weight = np.exp(SHARPNESS * alike.to_numpy())
        rows.append(controls.loc[context] + weight @ known.to_numpy() / weight.sum())
    return pd.DataFrame(rows).set_index(pairs).clip(lower=0)
