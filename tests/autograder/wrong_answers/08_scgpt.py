"""Wrong answers to notebook 08."""

WRONG = {
    "tokenise": [
        (
            "places in the list of genes",
            '[vocabulary.get(gene, vocabulary["<pad>"]) for gene in genes]',
            '[place if gene in vocabulary else vocabulary["<pad>"] for place, gene in enumerate(genes)]',
        ),
        ("the number of '<pad>', not 0", 'vocabulary.get(gene, vocabulary["<pad>"])', "vocabulary.get(gene, 0)"),
        ("all genes are called known", "[gene in vocabulary for gene in genes]", "[True for gene in genes]"),
        ("`known` is turned round", "gene in vocabulary for", "gene not in vocabulary for"),
        ("unknown genes were dropped", "for gene in genes]", "for gene in genes if gene in vocabulary]"),
        ("exchange them", "return ids, known", "return known, ids"),
        ("only the first part came", "return ids, known", "return ids"),
    ],
    "bin_values": [
        ("zeros shifted the quantiles", "np.quantile(cell[cell > 0],", "np.quantile(cell,"),
        ("all cells share these edges", "np.quantile(cell[cell > 0],", "np.quantile(values[values > 0],"),
        (
            "equally wide",
            "np.quantile(cell[cell > 0], np.linspace(0, 1, n_bins - 1))",
            "np.linspace(cell[cell > 0].min(), cell.max(), n_bins - 1)",
        ),
        (
            "leave out right=True",
            "np.digitize(cell[cell > 0], edges)",
            "np.digitize(cell[cell > 0], edges, right=True)",
        ),
        ("one edge too many", "n_bins - 1)", "n_bins)"),
        ("all are 0", "row[cell > 0] = ", "row[cell > 0].copy()[:] = "),
        ("this is the input 'values'", "return binned", "return values"),
    ],
    "masked_error": [
        ("the mask is forgotten", "errors[counts].mean()", "errors.mean()"),
        ("not by all", "errors[counts].mean()", "(errors * counts).mean()"),
        ("the places that do not count", "errors[counts]", "errors[~counts]"),
        ("this is the sum;", "errors[counts].mean()", "errors[counts].sum()"),
        ("these are absolute errors", "(predicted - due) ** 2", "(predicted - due).abs()"),
        ("the cells' means", "errors[counts].mean()", "((errors * counts).sum(dim=1) / counts.sum(dim=1)).mean()"),
        (
            "take the root",
            "errors = (predicted - due) ** 2",
            "errors = (predicted - due) ** 2",
            "return errors[counts].mean()",
            "return errors[counts].mean() ** 2",
        ),
        ("leave the root out", "errors[counts].mean()", "errors[counts].mean().sqrt()"),
        ("take the mean of these", "errors[counts].mean()", "errors[counts]"),
    ],
    "batch_entropy": [
        ("its own nearest neighbour", "    np.fill_diagonal(apart, np.inf)\n", ""),
        ("so that 1 is perfect mixing", " / np.log(len(shares))", ""),
        ("shares were averaged first", "(near == name).mean(axis=1)", "(near == name).mean()"),
        ("by the logarithm of k", "np.log(len(shares))", "np.log(k)"),
        ("0 log 0 counts as 0", "np.log(np.where(shares > 0, shares, 1))", "np.log(shares)"),
        (
            "the farthest cells",
            "np.argsort(apart, axis=1)[:, :k]",
            "np.argsort(-apart, axis=1)[:, :k]",
            "    np.fill_diagonal(apart, np.inf)\n",
            "",
        ),
        ("all signs are turned round", "return -(shares", "return (shares"),
        ("the other part of the whole", "return -(shares", "return 1 + (shares"),
    ],
    "perturbation_flags": [
        (
            "its index is 0",
            "[[int(gene in names) for gene in genes] for names in perturbed]",
            "[[int(gene in names and genes.index(gene) > 0) for gene in genes] for names in perturbed]",
        ),
        ("split the name at '+'", 'target.split("+")', "[target]"),
        ("names are compared in part", 'target.split("+")', "target"),
        ("the control needs a row", "for target in targets]", "for target in targets if target != CONTROL]"),
        (
            "rows and columns are swapped",
            "[[int(gene in names) for gene in genes] for names in perturbed]",
            "[[int(gene in names) for names in perturbed] for gene in genes]",
        ),
        (
            "not the gene's place",
            "int(gene in names) for gene in genes",
            "place * int(gene in names) for place, gene in enumerate(genes)",
        ),
        ("True and False (1 and 0) are exchanged", "int(gene in names)", "int(gene not in names)"),
    ],
    "AffineDecoder": [
        ("coefficient and bias are swapped", "return coeff * values + bias", "return bias * values + coeff"),
        ("values are clamped", "return coeff * values", "return coeff * values.clamp(max=512)"),
        ("the bias is missing", "return coeff * values + bias", "return coeff * values"),
        ("do not add it", "return coeff * values + bias", "return coeff + values + bias"),
        ("drop the last one of each head", ".squeeze(-1)", "", "coeff * values", "coeff * values[..., None]"),
    ],
    "correlations": [
        (
            "the tables were flattened",
            "return np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in\n"
            "                 ((predicted, measured), (predicted - control, measured - control))])",
        ),
        (
            "of each gene; correlate genes",
            "zip(predicted, measured, strict=True)\n",
            "zip(predicted.T, measured.T, strict=True)\n",
            "np.corrcoef(a - control, b - control)[0, 1] for a, b in zip(predicted, measured, strict=True)",
            "np.corrcoef(a, b)[0, 1] for a, b in zip((predicted - control).T, (measured - control).T, strict=True)",
        ),
        ("off the measured expression too", "np.corrcoef(a - control, b - control)", "np.corrcoef(a - control, b)"),
        (
            "not from the mean of the table",
            "np.corrcoef(a - control, b - control)",
            "np.corrcoef(a - predicted.mean(axis=0), b - measured.mean(axis=0))",
        ),
        ("first of expression, then of effects", "[np.mean(raw), np.mean(delta)]", "[np.mean(delta), np.mean(raw)]"),
        ("only the first value", "np.array([np.mean(raw), np.mean(delta)])", "np.mean(raw)"),
    ],
    "without_knowledge": [
        ("tokens moved the other way", "tokens[order]", "tokens[np.argsort(order)]"),
        ("its own token in 'shuffled'", "tokens[order]", "tokens"),
        ("needs each column's mean", "tokens.mean(axis=0) + tokens.std(axis=0) * noise", "noise"),
        (
            "each column has a mean",
            "tokens.mean(axis=0) + tokens.std(axis=0) * noise",
            "tokens.mean() + tokens.std() * noise",
        ),
        (
            "of genes, not of columns",
            "tokens.mean(axis=0) + tokens.std(axis=0) * noise",
            "tokens.mean(axis=1, keepdims=True) + tokens.std(axis=1, keepdims=True) * noise",
        ),
        ("return them as a dict", '{"shuffled": tokens[order], "untrained": untrained}', "[tokens[order], untrained]"),
        ("this is the variance in place", "tokens.std(axis=0)", "tokens.var(axis=0)"),
    ],
}
