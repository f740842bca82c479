import numpy as np
import pytest

from autograder.leaderboard import halves, ladder


def ladder_of_the_paper(losses: np.ndarray) -> list[bool]:
    """Algorithm 2 of Blum & Hardt (2015), as it is printed: losses of 0 and 1, rounded to multiples of 1 / n."""
    n, best, best_loss, moved = losses.shape[1], None, np.inf, []
    for loss in losses:
        risk = loss.mean()
        s = 0.0 if best is None else np.std(loss - best, ddof=1)
        moved.append(bool(risk < best_loss - s / np.sqrt(n) - 1e-12))  # where both are equal it stays
        if moved[-1]:
            best, best_loss = loss, np.round(risk * n) / n
    return moved


def test_the_ladder_moves_as_the_papers_does() -> None:
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(200):
        losses = (rng.random((12, 40)) < rng.uniform(0.2, 0.8, (12, 1))).astype(float)
        place, moved = ladder.standing_of([1 - loss for loss in losses])
        assert moved == ladder_of_the_paper(losses)
        assert place == max(np.flatnonzero(moved))
        counts.append(sum(moved))
    assert 1 < np.mean(counts) < 12


def test_a_gain_moves_the_standing_only_beyond_its_standard_error() -> None:
    best = np.zeros(4)
    # differences 0, 0, 0, 1: mean 1/4, standard deviation 1/2, so s / sqrt(4) is 1/4
    assert not ladder.is_better(np.array([0.0, 0.0, 0.0, 1.0]), best)
    # differences 0, 0, 1, 1: mean 1/2, standard deviation sqrt(1/3), s / 2 = 0.289
    assert ladder.is_better(np.array([0.0, 0.0, 1.0, 1.0]), best)
    assert not ladder.is_better(np.array([np.nan, 0.0, 1.0, 1.0]), best)
    assert ladder.standing_of([np.full(4, np.nan)]) == (None, [False])


def test_teams_share_a_rank_within_noise_of_the_groups_first() -> None:
    # paired differences from the first: mean 1/4, s = 1/2; t(0.975, 3) = 3.182, half an interval 0.796
    first, near = np.array([1.0, 1.0, 1.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0])
    far = np.array([-1.0, -1.1, -0.9, -1.0])  # from the first 2 +- 0.13
    values = np.stack([far, near, first])
    assert ladder.ranks(values).tolist() == [3, 1, 1]
    assert ladder.ranks(values, intervals=False).tolist() == [3, 2, 1]
    missing = np.stack([np.array([np.nan, 9.0, 9.0, 9.0]), near, first])
    assert ladder.ranks(missing).tolist() == [3, 1, 1]
    assert ladder.ranks(missing, intervals=False).tolist() == [3, 2, 1]


def test_halves_are_dealt_within_contexts_whatever_the_order() -> None:
    names = [f"G{number}" for number in range(41)]
    dealt = halves.split_halves({"a": names, "b": names[:9]}, 5)
    assert dealt.private is not None
    assert dealt.sizes == (26, 24)
    for context, keep in dealt.public.items():
        assert (keep != dealt.private[context]).all()
    turned = halves.split_halves({"b": names[:9], "a": names[::-1]}, 5)
    assert (turned.public["a"][::-1] == dealt.public["a"]).all()
    other = halves.split_halves({"a": names, "b": names[:9]}, 6)
    assert (other.public["a"] != dealt.public["a"]).any()


@pytest.mark.parametrize(("n", "sizes"), [(39, (39, 0)), (40, (20, 20))])
def test_too_few_perturbations_make_one_board(n: int, sizes: tuple[int, int]) -> None:
    assert halves.split_halves({"a": [f"G{number}" for number in range(n)]}, 0).sizes == sizes
