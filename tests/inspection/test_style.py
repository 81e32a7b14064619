"""Legends stay inside their figure, whatever is written in them."""

import pytest
from matplotlib import pyplot as plt

from sksbi.inspection import RankDisplay

LONG = [
    "a name that nobody would call short, least of all on paper",
    "mass of the second body / kg",
]


@pytest.mark.parametrize("n_columns", [1, 2])
def test_long_names_are_written_smaller_and_stay_inside(held_out, n_columns):
    fig, axes = plt.subplots(
        1, n_columns, figsize=(3.4 * n_columns, 3), layout="constrained", squeeze=False
    )
    for ax in axes[0]:
        RankDisplay.from_held_out(held_out, names=LONG, ax=ax)
    fig.canvas.draw()
    for k, ax in enumerate(axes[0]):
        box = ax.get_legend().get_window_extent()
        left = k * fig.bbox.width / n_columns
        assert left - 2 <= box.x0
        assert box.x1 <= left + fig.bbox.width / n_columns
        assert box.y1 <= fig.bbox.y1
        assert ax.bbox.height > 0.4 * fig.bbox.height
