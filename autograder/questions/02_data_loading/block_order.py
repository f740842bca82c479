"""Question `block_order`: the order in which shuffled blocks give the rows of a file."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _block_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make the last block smaller and put it elsewhere than at the end; in one case all are equal."""
    cases = []
    for n_cells, block_size in ((47, 5), (38, 3), (63, 7)):
        n_blocks = -(-n_cells // block_size)
        order = rng.permutation(n_blocks)
        if order[-1] == n_blocks - 1:
            order = order[::-1].copy()
        cases.append({"n_cells": n_cells, "block_size": block_size, "order": order})
    return cases


def _block_order(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    return np.array([row for block in order for row in range(n_cells) if row // block_size == block])


def _too_far(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    del n_cells
    return (np.asarray(order)[:, None] * block_size + np.arange(block_size)).ravel()


def _whole_blocks_only(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    whole = [block for block in order if (block + 1) * block_size <= n_cells]
    return _block_order(n_cells, block_size, np.array(whole))


def _by_remainder(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    """Make the last block as long as the remainder, which is 0 where all blocks are whole."""
    rows = _block_order(n_cells, block_size, order)
    return rows if n_cells % block_size else rows[rows < n_cells - block_size]


def _blocks_in_order(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    del block_size, order
    return np.arange(n_cells)


def _block_numbers(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    return _block_order(n_cells, block_size, order) // block_size


def _one_row_of_each(n_cells: int, block_size: int, order: np.ndarray) -> np.ndarray:
    """Deal rows out over the blocks instead of taking neighbours."""
    del block_size
    return np.concatenate([np.arange(block, n_cells, len(order)) for block in order])


QUESTION = Question(
    name="block_order",
    asks=Function("block_order"),
    inputs=_block_cases,
    due=_block_order,
    hints=(
        "A block is a run of neighbouring rows; blocks come in the given order, rows within them in the file's.",
        "block b holds the rows from b x block_size up to (b + 1) x block_size, or to n_cells if that comes first",
        "one array of rows per block, the last block may be shorter; joined: n_cells numbers, each once",
    ),
    mistakes=(
        Mistake("rows come that the file does not have; end the last block at n_cells", _too_far),
        Mistake("the last, smaller block is missing", _whole_blocks_only),
        Mistake("the last block is missing where it is as long as the others: there the remainder is 0", _by_remainder),
        Mistake("the blocks come in the file's order; take them in the given order", _blocks_in_order),
        Mistake("numbers of blocks came; give the rows of each", _block_numbers),
        Mistake("the rows of a block are not neighbours; block i begins at row i * block_size", _one_row_of_each),
    ),
    without=WITHOUT,
)
