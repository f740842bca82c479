"""Perturbation labels harmonised: controls, doubles as `A+B`, guides told from their gene, old symbols."""

import re
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from data_scripts.adoption.genes import Genes
from data_scripts.adoption.layout import Layout
from starter.data.targets import GUIDE_NUMBER, is_control
from starter.schema import CONTROL

NO_LABEL = ("", "nan", "NaN", "NA", "N/A", "None", "<NA>")
"""What stands in a column of labels where a cell has none."""
GUIDE_PART = re.compile(r"(g|sg|guide|gRNA|sgRNA)?[-. ]?\d+|p[A-Z]{1,3}\d+")
"""What may stand behind a gene and `_`: a guide's number (`_1`, `_g2`), a vector (`_pDS258`)."""
PLAIN_NUMBER = re.compile(r"(?<=\w)\d+$")
MOST_GUIDES = 12
"""No gene has more guides in one label's numbering; `sgRNA_1` to `sgRNA_500` are not guides of a gene sgRNA."""


class Meaning(NamedTuple):
    """What a label says of a cell."""

    target: str | None
    """The perturbation as a course names it; None if the cell is left out."""
    of_guide: bool = False
    """Whether the label tells guides of one gene apart."""
    why_out: str = ""


def read_labels(labels: Iterable[str], layout: Layout, genes: Genes) -> dict[str, Meaning]:
    """Tell what each label of a screen means.

    A label is first compared with what the layout leaves out and calls control. The parts of a double are sorted; a
    control in it falls away, and so does a gene that stands there twice. A part is a gene of the file under any of its
    names, or else its guide's number is cut off: `_1` always, since no symbol ends so, and `-1` or `g1` where a gene is
    left then. A symbol that is known is never cut (NKX2-1, HLA-A, AC118549.1).

    Parameters
    ----------
    labels
        The different labels, in any order.
    layout
        Controls, labels left out, what separates the genes of a double.
    genes
        The genes of the file.
    """
    labels = list(labels)
    if layout.kind == "compound":
        return {label: _chosen(label, layout) or Meaning(label.strip()) for label in labels}
    numbered = Counter(bare for label in labels for piece in label.split("+") if (bare := _numbered(piece.strip())))
    too_many = {bare for bare, n in numbered.items() if n > MOST_GUIDES and not genes.is_known(bare)}
    return {label: _chosen(label, layout) or _read(label.strip(), layout, genes, too_many) for label in labels}


def _chosen(label: str, layout: Layout) -> Meaning | None:
    """Tell what the layout says of a label, and whether it is a usual spelling of the control, or none at all."""
    if _matches(label, layout.drop):
        return Meaning(None, why_out=f"labelled {label!r}")
    if label == CONTROL or _matches(label, layout.control):
        return Meaning(CONTROL)
    if label.strip() in NO_LABEL:
        return Meaning(None, why_out="without a label")
    return None


def _matches(label: str, patterns: tuple[str, ...]) -> bool:
    return any(label in (pattern, pattern.strip()) or fnmatchcase(label, pattern) for pattern in patterns)


def _numbered(piece: str) -> str | None:
    """Give what stands before a guide's number behind `_`."""
    bare, separator, end = piece.rpartition("_")
    return bare if separator and bare and GUIDE_PART.fullmatch(end) else None


def _read(label: str, layout: Layout, genes: Genes, too_many: set[str]) -> Meaning:
    if genes.measured(label) is None and is_control(label, ()):
        return Meaning(CONTROL)
    found: list[str] = []
    of_guide = False
    for piece in _pieces(label, layout.separator, genes):
        if genes.measured(piece) is None and (is_control(piece, ()) or _matches(piece, layout.control)):
            continue
        gene, is_cut = _gene_of(piece, layout, genes, too_many)
        of_guide = of_guide or is_cut
        found.append(gene)
    return Meaning("+".join(sorted(set(found))) or CONTROL, of_guide)


def _pieces(label: str, separator: str | None, genes: Genes) -> list[str]:
    """Cut a label where its genes end; a guide's number stays with its gene."""
    pieces: list[str] = []
    for part in label.split("+"):
        if not separator or genes.is_known(part):
            pieces.append(part.strip())
            continue
        own: list[str] = []
        tokens = part.split(separator)
        while tokens:
            # the longest run of tokens that is a gene: NKX2-1-KLF1 are two of three
            n = next((n for n in range(len(tokens), 1, -1) if genes.is_known(separator.join(tokens[:n]))), 1)
            token, tokens = separator.join(tokens[:n]).strip(), tokens[n:]
            if own and GUIDE_PART.fullmatch(token):
                own[-1] += f"_{token}"
            else:
                own.append(token)
        pieces.extend(own)
    return [piece for piece in pieces if piece]


def _gene_of(piece: str, layout: Layout, genes: Genes, too_many: set[str]) -> tuple[str, bool]:
    """Give the gene of a part of a label, and whether something of the part told its guide."""
    if layout.target_ids:
        return genes.symbol_of(piece) or piece, False
    if (gene := genes.measured(piece)) is not None:
        return gene, False
    if genes.is_known(piece):
        return genes.names.one(piece) or piece, False
    bare = _numbered(piece)
    if bare is not None and bare not in too_many:
        return _gene_of(bare, layout, genes, too_many)[0], True
    bare = GUIDE_NUMBER.sub("", piece)
    if bare != piece and PLAIN_NUMBER.sub("", piece) != bare and genes.is_known(bare):
        return _gene_of(bare, layout, genes, too_many)[0], True
    return piece, False
