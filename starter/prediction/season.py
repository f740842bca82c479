"""The challenge's seasons: what an upload of each is made of, and how large it may be."""

from dataclasses import dataclass

from starter.errors import InputError
from starter.schema import CONTEXT, TARGET_GENE

PREDICTION, WATERMARK, META = "pred.h5ad.zst", "watermark.txt", "meta.json"
MAX_GENES = 20_000
"""Size limit of a file whose genes are not known beforehand."""
BYTES_PER_VALUE = 12
"""A stored value at most: float64 and its int32 column, or float32 and its int64 column."""
OTHER_BYTES = 64 << 20
"""Room for cell and gene names."""


@dataclass(frozen=True)
class Season:
    """What an upload of one season is made of."""

    year: int
    members: tuple[str, ...]
    """The files of the archive, in order: the prediction and one small file beside it."""
    columns: tuple[str, ...]
    """The columns of `obs` that an upload holds."""
    max_cells: int
    """Of 2025: what `cell-eval prep` 0.8.2 takes; of 2026: what vcc-cli 0.3.0 does."""
    max_stored: int
    """Values of X that may be stored."""

    @property
    def sidecar(self) -> str:
        """The file beside the prediction, by which the season is known."""
        return next(name for name in self.members if name != PREDICTION)

    def size_limit(self, n_genes: int | None = None) -> int:
        """Give the bytes that a prediction of some genes can need when it is unpacked."""
        return min(self.max_cells * (n_genes or MAX_GENES), self.max_stored) * BYTES_PER_VALUE + OTHER_BYTES


COURSE_CELLS = 100_000
"""Cells that a course takes."""
CELLS_BEFORE = 100_000
"""Cells that `cell-eval prep` took up to version 0.6.2, which the season of 2025 began with."""
SEASON_2025 = Season(2025, (PREDICTION, WATERMARK), (TARGET_GENE,), max_cells=200_000, max_stored=200_000 * MAX_GENES)
SEASON_2026 = Season(2026, (META, PREDICTION), (TARGET_GENE, CONTEXT), max_cells=400_000, max_stored=4_750_000_000)
SEASONS = (SEASON_2025, SEASON_2026)


def get_season(year: int) -> Season:
    """Give a season by its year.

    Raises
    ------
    InputError
        If the challenge had none that the kit knows.
    """
    for season in SEASONS:
        if season.year == year:
            return season
    msg = f"there is no season {year}; the seasons are {', '.join(str(season.year) for season in SEASONS)}"
    raise InputError(msg)
