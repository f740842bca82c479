"""What became of a file: cells left out and why, genes and labels renamed, what could not be told."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from starter.errors import counted, listed
from starter.files import whole


@dataclass
class Report:
    """What a conversion did; every cell of the source is either written or counted in `dropped`."""

    source: str
    cells_there: int
    cells: int = 0
    genes: int = 0
    perturbations: int = 0
    controls: int = 0
    contexts: list[str] = field(default_factory=list)
    """Of the cells that were taken; empty if the file tells none apart."""
    target_sum: float = 0.0
    dropped: dict[str, int] = field(default_factory=dict)
    """Why cells were left out, and how many; a cell counts once, for the first reason."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels of the source that were changed, and what they became."""
    renamed_genes: dict[str, str] = field(default_factory=dict)
    """Genes that are not named as in the source: old symbols, ids, and symbols that stood there twice."""
    unresolved_genes: list[str] = field(default_factory=list)
    """Ensembl ids of which no symbol is known."""
    unmeasured_targets: list[str] = field(default_factory=list)
    """Targets that are not among the genes."""
    notes: list[str] = field(default_factory=list)

    def drop(self, why: str, n: int) -> None:
        """Count cells that are left out."""
        if n:
            self.dropped[why] = self.dropped.get(why, 0) + n

    def write(self, path: str | Path) -> None:
        """Write it as JSON."""
        with whole(path) as part:
            part.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    def __str__(self) -> str:
        """Say it in a few lines, for people."""
        lines = [
            f"{counted(self.cells, 'cell')} x {counted(self.genes, 'gene')} of {counted(self.cells_there, 'cell')}: "
            f"{counted(self.perturbations, 'perturbation')}, {counted(self.controls, 'control')}; "
            f"target_sum {self.target_sum:,.10g}"
        ]
        if self.contexts:
            lines.append(f"{counted(len(self.contexts), 'context')}: {listed(self.contexts)}")
        lines += [f"left out: {counted(n, 'cell')}, {why}" for why, n in self.dropped.items()]
        for what, names in (("labels", self.labels), ("genes", self.renamed_genes)):
            if names:
                lines.append(
                    f"{what} renamed: {len(names):,} ({listed([f'{old} -> {new}' for old, new in names.items()])})"
                )
        for what, unknown in (
            ("Ensembl ids without a symbol", self.unresolved_genes),
            ("targets that are not measured", self.unmeasured_targets),
        ):
            if unknown:
                lines.append(f"{what}: {len(unknown):,} ({listed(unknown)})")
        return "\n".join([*lines, *self.notes])
