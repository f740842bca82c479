"""Wrong answers to notebook 09."""

WRONG = {
    "challenge_score": [
        ("the mean is clipped", "np.maximum(shares, 0).mean()", "max(shares.mean(), 0)"),
        ("a perfect MAE is 0", "[1, 1, 0]", "[1, 1, 1]"),
        (
            "MAE counts the wrong way",
            "shares = (values - baseline) / (best - baseline)",
            "shares = (values - baseline) / np.abs(best - baseline)",
        ),
        ("divide by three", "np.maximum(shares, 0).mean()", "shares[shares > 0].mean()"),
        ("these are differences", "(values - baseline) / (best - baseline)", "(values - baseline) * [1, 1, -1]"),
        ("divides by the baseline", "/ (best - baseline)", "/ (baseline * [1, 1, -1])"),
        (
            "the order is turned round",
            "np.maximum(shares, 0).mean(), shares.mean()",
            "shares.mean(), np.maximum(shares, 0).mean()",
        ),
        ("percent where shares", "return np.array(", "return 100 * np.array("),
    ],
    "shrinkage": [
        ("the profiles themselves", "predicted - mean, measured - mean", "predicted, measured"),
        ("the sides are swapped", "(p**2).sum()", "(m**2).sum()"),
        (
            "a factor for each perturbation",
            "return (p * m).sum() / (p**2).sum()",
            "return ((p * m).sum(axis=1) / (p**2).sum(axis=1)).mean()",
        ),
        (
            "fits an intercept too",
            "return (p * m).sum() / (p**2).sum()",
            "return np.polyfit(p.ravel(), m.ravel(), 1)[0]",
        ),
        (
            "this is a correlation",
            "return (p * m).sum() / (p**2).sum()",
            "return np.corrcoef(p.ravel(), m.ravel())[0, 1]",
        ),
        (
            "compares lengths alone",
            "return (p * m).sum() / (p**2).sum()",
            "return np.sqrt((m**2).sum() / (p**2).sum())",
        ),
        ("upside down", "(p * m).sum() / (p**2).sum()", "(p**2).sum() / (p * m).sum()"),
    ],
    "stack_weights": [
        (
            "a weight is below 0",
            "scipy.optimize.nnls(columns, measured.ravel())[0]",
            "np.linalg.lstsq(columns, measured.ravel(), rcond=None)[0]",
        ),
        (
            "set to 0 afterwards",
            "scipy.optimize.nnls(columns, measured.ravel())[0]",
            "np.maximum(np.linalg.lstsq(columns, measured.ravel(), rcond=None)[0], 0)",
        ),
        (
            "scaled to a sum of 1",
            "return scipy.optimize.nnls(columns, measured.ravel())[0]",
            "weights = scipy.optimize.nnls(columns, measured.ravel())[0]\n    return weights / weights.sum()",
        ),
        (
            "every model was fitted alone",
            "return np.array([max((p * measured).sum() / (p**2).sum(), 0) for p in predicted])",
        ),
        ("the plain average", "return np.full(len(predicted), 1 / len(predicted))"),
        (
            "each model's own error",
            "error = ((predicted - measured) ** 2).sum(axis=(1, 2))\nreturn (1 / error) / (1 / error).sum()",
        ),
    ],
    "gain_over_best": [
        ("the best member was chosen once", "means[1:].max(axis=0)", "means[1 + scores[1:].mean(axis=1).argmax()]"),
        (
            "every single perturbation",
            "gains = scores[0] - scores[1:].max(axis=0)\n"
            "return np.array([gains.mean(), *np.percentile(gains[draws].mean(axis=1), [2.5, 97.5])])",
        ),
        (
            "over the members' mean",
            "means[1:].max(axis=0)",
            "means[1:].mean(axis=0)",
            "overall[1:].max()",
            "overall[1:].mean()",
        ),
        ("leave the first row out", "means[1:].max(axis=0)", "means.max(axis=0)", "overall[1:].max()", "overall.max()"),
        ("a 90 % interval", "[2.5, 97.5]", "[5, 95]"),
        (
            "the mean of the draws",
            "overall[0] - overall[1:].max(), low",
            "(means[0] - means[1:].max(axis=0)).mean(), low",
        ),
        ("in another order", "overall[0] - overall[1:].max(), low, high", "low, overall[0] - overall[1:].max(), high"),
        (
            "over the worst member",
            "means[1:].max(axis=0)",
            "means[1:].min(axis=0)",
            "overall[1:].max()",
            "overall[1:].min()",
        ),
    ],
    "to_counts": [
        ("these are fractions", "np.rint(np.expm1(logs.data) * scale)", "np.expm1(logs.data) * scale"),
        ("this rounds down", "np.rint(", "np.floor("),
        ("by expm1, not by exp", "np.expm1(", "np.exp("),
        ("the scale is upside down", "n_umis / target_sum", "target_sum / n_umis"),
        ("the sum over these genes", "n_umis / target_sum", "n_umis / np.asarray(logs.expm1().sum(axis=1)).ravel()"),
        ("the scale is missing", " * scale)", ")"),
        ("keep the matrix sparse", "return counts", "return counts.toarray()"),
    ],
    "cells_lacking": [
        ("the cells that are there", "return n_cells - present", "return present"),
        ("above 0 where cells are lacking", "n_cells - present", "present - n_cells"),
        ("let them stand below 0", "n_cells - present", "(n_cells - present).clip(lower=0)"),
        ("a row is a context", "return n_cells - present", "return (n_cells - present).T"),
        (
            "a pair without a cell",
            "present = pd.crosstab(context, target_gene)",
            "present = pd.Series(1, index=[context, target_gene]).groupby(level=[0, 1]).size().unstack()",
            ", fill_value=0)",
            ")",
        ),
        (
            "the labels that are there",
            "    present = present.reindex(index=contexts, columns=perturbations, fill_value=0)\n",
            "",
        ),
        ("make a table", "return n_cells - present", "return (n_cells - present).to_numpy()"),
    ],
}
