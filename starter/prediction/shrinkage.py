"""Predicted effects drawn towards none as far as the model is unsure of them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from starter.data.pseudobulk import check_profile_table
from starter.errors import Finding, InputError, counted
from starter.schema import CONTEXT, CONTROL, PERTURBATION


def shrink(
    table: pd.DataFrame, spread: pd.DataFrame, controls: Mapping[str, np.ndarray]
) -> tuple[pd.DataFrame, list[Finding]]:
    """Multiply every effect by effect^2 / (effect^2 + spread^2), and add it to the control profile again.

    It is the Wiener filter with the predicted effect in the place of the true one: an effect many times its standard
    deviation stays, one within it nearly vanishes. Made cells show as differentially expressed whatever differs from
    the control cells by more than the cells' noise, whether the model was sure or not; so this comes before.

    It is right for predictions that lie around the truth with that deviation: their squares are on average those of the
    truth and of the deviation together. A model that predicts the mean of what may be (a mean over neighbours, a ridge)
    is drawn towards none already, and its effects are smaller than its deviations; they are left as they are. What
    either costs or gains: `python -m benchmarks.spread`.

    Parameters
    ----------
    table
        A profile table.
    spread
        Standard deviation of each predicted mean, a table of the same rows and columns.
    controls
        Control profile of each context, in the order of the columns.

    Returns
    -------
    A profile table without control rows, and what was done.

    Raises
    ------
    InputError
        If the two tables differ in rows or genes, or a deviation is negative or NaN.
    """
    try:
        check_profile_table(spread, list(table.columns))
    except InputError as error:
        msg = f"the table of standard deviations (--spread): {error}"
        raise InputError(msg) from error
    perturbed = table[table.index.get_level_values(PERTURBATION) != CONTROL]
    if len(missing := perturbed.index.difference(spread.index)):
        msg = f"the table of standard deviations (--spread) lacks {counted(len(missing), 'row')} of the profile table"
        raise InputError(msg)
    control = np.stack([controls[context] for context in perturbed.index.get_level_values(CONTEXT)])
    effects = perturbed.to_numpy(float) - control
    squares, noise = effects**2, spread.loc[perturbed.index].to_numpy(float) ** 2
    of_effects, of_noise = np.sqrt(squares.mean()), np.sqrt(noise.mean())
    sizes = f"their root mean square is {of_effects:.3g}, that of --spread {of_noise:.3g}"
    if of_noise >= of_effects:
        what = f"effects were left as predicted: {sizes}, so the model predicts means of what may be"
        return perturbed, [Finding("note", what)]
    kept = np.divide(squares, squares + noise, out=np.zeros(squares.shape), where=squares > 0)
    shrunk = pd.DataFrame(np.maximum(control + effects * kept, 0), perturbed.index, table.columns)
    return shrunk, [Finding("note", f"uncertain effects were drawn towards none: {sizes}")]
