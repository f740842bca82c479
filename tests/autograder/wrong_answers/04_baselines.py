"""Wrong answers to notebook 04."""

WRONG = {
    "train_mean": [
        ("the control cells count as a perturbation", " if label != CONTROL", ""),
        (
            "so large perturbations weigh more",
            "return np.asarray(expression[target_gene != CONTROL].mean(axis=0)).ravel()",
        ),
        ("all cells, controls included", "return np.asarray(expression.mean(axis=0)).ravel()"),
        ("the mean of the control cells", "label != CONTROL", "label == CONTROL"),
        (
            "this is an effect",
            "np.mean(profiles, axis=0)",
            "np.mean(profiles, axis=0) - expression[target_gene == CONTROL].mean(axis=0)",
        ),
        (
            "a sparse matrix has two dimensions",
            "np.asarray(np.mean(profiles, axis=0)).ravel()",
            "np.mean(profiles, axis=0)",
        ),
        ("the sum of the profiles", "np.mean(profiles, axis=0)", "np.sum(profiles, axis=0)"),
        ("the mean of all", "np.asarray(np.mean(profiles, axis=0)).ravel()", "np.mean(profiles)"),
    ],
    "heterogeneity": [
        ("every effect is compared with itself", "correlations[pairs]", "correlations"),
        ("the pairs of an effect with itself", ", k=1", ""),
        ("the mean of the correlations", "np.median(", "np.mean("),
        ("correlations of genes", "np.corrcoef(effects)", "np.corrcoef(effects.T)", "len(effects)", "effects.shape[1]"),
        (
            "this is a cosine",
            "np.corrcoef(effects)",
            "effects.to_numpy() @ effects.to_numpy().T / np.outer(*2 * [np.linalg.norm(effects, axis=1)])",
        ),
        ("take the median of these", "np.median(correlations[pairs])", "correlations[pairs]"),
        ("these are covariances", "np.corrcoef(", "np.cov("),
    ],
    "out_of_fold": [
        ("the hidden fold is in the mean", "effects[fold != hidden_fold]", "effects"),
        ("the mean of the fold itself", "fold != hidden_fold", "fold == hidden_fold"),
        (
            "only the perturbation itself is left out",
            "return np.array([np.delete(effects, i, axis=0).mean(axis=0) for i in range(len(effects))])",
        ),
        (
            "averages the folds' means",
            "effects[fold != hidden_fold].mean(axis=0)",
            "np.mean([effects[fold == f].mean(axis=0) for f in np.unique(fold) if f != hidden_fold], axis=0)",
        ),
        ("this is the input 'effects'", "return predicted", "return effects"),
        ("one number for all genes", "fold != hidden_fold].mean(axis=0)", "fold != hidden_fold].mean()"),
        ("these are sums", "fold != hidden_fold].mean(axis=0)", "fold != hidden_fold].sum(axis=0)"),
    ],
    "knn": [
        (
            "the nearest by Euclidean distance",
            "similarity = wanted @ unit.T",
            "similarity = -np.linalg.norm(wanted[:, None] - features, axis=2)",
        ),
        ("long rows win here", "features / np.linalg.norm(features, axis=1, keepdims=True)", "features"),
        ("the k least alike", "-similarity", "similarity"),
        ("the mean of k + 1 effects", "[:, :k]", "[:, : k + 1]"),
        ("the sum of the effects", "effects[nearest].mean(axis=1)", "effects[nearest].sum(axis=1)"),
        ("the most alike is left out", "[:, :k]", "[:, 1 : k + 1]"),
        ("divide each row by its own length", "axis=1, keepdims=True)", "axis=0)"),
    ],
    "ridge": [
        (
            "before you solve",
            "x, mean = features - features.mean(axis=0), effects.mean(axis=0)",
            "x, mean = features, 0",
            "wanted - features.mean(axis=0)",
            "wanted",
        ),
        ("the penalty is missing", " + penalty * np.eye(x.shape[1])", ""),
        ("added to every entry", "penalty * np.eye(x.shape[1])", "penalty"),
        ("the mean effect is missing", "return mean + (", "return ("),
        ("off `wanted` too", "(wanted - features.mean(axis=0))", "wanted"),
        ("centred by its own mean", "wanted - features.mean(axis=0)", "wanted - wanted.mean(axis=0)"),
        ("the penalty is squared", "penalty * np.eye", "penalty**2 * np.eye"),
    ],
    "bilinear": [
        ("the mean effect b is missing", "return b + wanted", "return wanted"),
        (
            "only the targets have features here",
            "weights = np.linalg.solve(left, features.T @ (effects - b) @ genes) @ np.linalg.inv(right)",
            "weights = np.linalg.solve(left, features.T @ (effects - b))",
            "weights @ genes.T",
            "weights",
        ),
        ("on the genes' side", " + penalty * np.eye(genes.shape[1])", ""),
        ("off the effects before you solve", "(effects - b) @ genes", "effects @ genes"),
        (
            "does not centre the features",
            "b = effects.mean(axis=0)",
            "b = effects.mean(axis=0)\n"
            "    middle = features.mean(axis=0)\n    wanted, features = wanted - middle, features - middle",
        ),
        ("on the targets' side", " + penalty * np.eye(features.shape[1])", ""),
        (
            "the penalty is missing on both sides",
            " + penalty * np.eye(features.shape[1])",
            "",
            " + penalty * np.eye(genes.shape[1])",
            "",
        ),
    ],
    "pathway_gain": [
        ("chance is missing", "inside - np.mean(by_chance)", "inside"),
        ("compared with itself too", "[pairs].mean()", ".mean()"),
        ("only one order was tried", "np.mean(by_chance)", "by_chance[0]"),
        (
            "correlations of columns",
            "len(members), k=1",
            "features.shape[1], k=1",
            "features[members]",
            "features[members].T",
            "features[order][members]",
            "features[order][members].T",
        ),
        ("the sign is turned round", "inside - np.mean(by_chance)", "np.mean(by_chance) - inside"),
        ("this is a ratio", "inside - np.mean(by_chance)", "inside / np.mean(by_chance)"),
    ],
    "difference": [
        (
            "the ends of two intervals",
            "low, high = np.percentile(means, [2.5, 97.5])",
            "low, high = (np.percentile(model[draws].mean(axis=1), p) - np.percentile(baseline[draws].mean(axis=1), p)"
            " for p in (2.5, 97.5))",
        ),
        ("the spread of single perturbations", "gain[draws].mean(axis=1)", "gain"),
        ("a 90 % interval", "[2.5, 97.5]", "[5, 95]"),
        ("the mean of the draws", "np.array([gain.mean(),", "np.array([means.mean(),"),
        ("less baseline", "model - baseline", "baseline - model"),
        ("but sorted", "np.array([gain.mean(), low, high])", "np.array([low, gain.mean(), high])"),
        ("out of 100", "[2.5, 97.5]", "[0.025, 0.975]"),
        ("over the draws", "mean(axis=1)", "mean(axis=0)"),
    ],
}
