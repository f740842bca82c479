import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from cell_screens import screen, store

from data_scripts.pieces.batches import StoredCells, stream
from data_scripts.pieces.folder import Pieces, open_pieces
from data_scripts.pieces.source import open_source
from data_scripts.pieces.write import write_pieces
from starter.errors import InputError


@pytest.fixture(params=["zarr", "h5ad"])
def pieces(request: pytest.FixtureRequest, tmp_path: Path) -> Pieces:
    with open_source([store(screen(90), tmp_path / "a.h5ad")]) as source:
        return open_pieces(write_pieces(source, tmp_path / "pieces", cells=40, kind=request.param))


def test_each_cell_comes_once_with_its_label_in_another_order_each_epoch(pieces: Pieces):
    adata = screen(90)
    due = sorted(zip(map(tuple, adata.X.toarray().tolist()), adata.obs["target_gene"], strict=True))
    with StoredCells(pieces) as cells:
        assert (len(cells), cells.shape) == (90, (90, 7))
        batches = stream(cells, batch_size=8, seed=3, block_size=4, fetch_factor=2)
        epochs = []
        for _ in range(2):
            found = list(batches)
            assert [len(counts) for counts, _ in found] == [8] * 11 + [2]
            assert (found[0][0].dtype, found[0][1].dtype) == (torch.float32, torch.int64)
            rows = [tuple(row) for counts, _ in found for row in counts.tolist()]
            labels = [str(cells.labels[code]) for _, codes in found for code in codes]
            epochs.append(list(zip(rows, labels, strict=True)))
    assert sorted(epochs[0]) == sorted(epochs[1]) == due
    assert epochs[0] != epochs[1]
    in_order = list(zip(map(tuple, adata.X.toarray().tolist()), adata.obs["target_gene"], strict=True))
    assert epochs[0] != in_order


def test_cells_are_taken_by_number_across_pieces(pieces: Pieces):
    with StoredCells(pieces, "batch") as cells:
        counts, codes = cells[np.array([3, 39, 40, 80, 89])]
        np.testing.assert_array_equal(counts.toarray(), screen(90).X[[3, 39, 40, 80, 89]].toarray())
        assert [cells.labels[code] for code in codes] == screen(90).obs["batch"].iloc[[3, 39, 40, 80, 89]].tolist()


def test_another_process_opens_the_files_itself(pieces: Pieces):
    with StoredCells(pieces) as cells:
        cells[np.array([0])]
        again = copy.deepcopy(cells)  # __getstate__ is what another process is given, too
        np.testing.assert_array_equal(again[np.array([5])][0].toarray(), cells[np.array([5])][0].toarray())
        loader = torch.utils.data.DataLoader(stream(cells, 8, seed=0), batch_size=None, num_workers=2)
        assert sum(len(counts) for counts, _ in loader) == 90


def test_a_column_that_is_not_there_is_named(pieces: Pieces):
    with pytest.raises(InputError, match="piece-00000.* has no column 'guide' in obs; it has target_gene, context"):
        StoredCells(pieces, "guide")
