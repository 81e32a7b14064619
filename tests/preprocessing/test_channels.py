"""Channels in units of their own are seen alike; what is handed over as it is stays so."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from sksbi import NPE
from sksbi.exceptions import TrainingWarning
from sksbi.preprocessing import ObservationSpace
from sksbi.preprocessing.channels import ChannelViews

IMAGES = np.random.default_rng(0).normal(size=(300, 2, 50))
UNITS = np.array([1e6, 1e-3])


def learnt(x: np.ndarray, transformer: object = None) -> tuple[ObservationSpace, np.ndarray]:
    """Fit a space that keeps the shape."""
    space = ObservationSpace(transformer, True, None)
    return space, space.fit_transform(x, None, np.random.default_rng(0))


@pytest.mark.parametrize("last", [False, True])
def test_units_of_channels_change_nothing(last: bool) -> None:
    x = np.moveaxis(IMAGES, 1, -1) if last else IMAGES
    units = UNITS if last else UNITS[:, None]
    views = ChannelViews(x * units)
    assert views.axis == (2 if last else 1)
    scaled = views.transform(x * units)
    assert scaled.shape == x.shape
    middle = np.quantile(scaled, 0.5, axis=(0, 1 if last else 2))
    spread = scaled.std(axis=(0, 1 if last else 2))
    np.testing.assert_allclose(middle, 0, atol=0.05)
    np.testing.assert_allclose(spread, 1, rtol=0.05)
    order = np.argsort(x[..., 0] if last else x[:, 0], axis=None)
    assert (np.diff((scaled[..., 0] if last else scaled[:, 0]).ravel()[order]) >= 0).all()


def test_alike_channels_share_a_scale_and_so_do_the_places_of_a_long_series() -> None:
    assert ChannelViews(IMAGES).axis is None
    assert ChannelViews(IMAGES[:, :1] * np.geomspace(1, 1e6, 50)).axis == 2
    assert ChannelViews(np.ones((30, 1, 100)) * np.geomspace(1, 1e6, 100)).axis is None


class Seen(nn.Module):
    """An embedding that keeps what it saw, on the class, as estimators copy it."""

    values: set[float] = set()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the values, and flatten."""
        Seen.values |= set(x.unique().tolist())
        return x.flatten(1)


@pytest.mark.parametrize("shape", [(6,), (2, 3)])
def test_passthrough_hands_masks_over_as_they_are(shape: tuple) -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 2, size=(200, *shape)).astype(float)
    theta = mask.reshape(200, -1)[:, :1] + rng.normal(size=(200, 1))
    Seen.values = set()
    npe = NPE(embedding=Seen(), x_transformer="passthrough", max_epochs=1, random_state=0)
    npe.fit(theta, mask).sample(mask[0], 3)
    assert Seen.values == {0.0, 1.0}
    np.testing.assert_array_equal(learnt(mask, "passthrough")[1], mask.astype(np.float32))


def test_what_a_transformer_makes_of_an_image_goes_on_as_it_is() -> None:
    space, seen = learnt(IMAGES, FunctionTransformer(lambda x: x / 2))
    np.testing.assert_array_equal(seen, (IMAGES / 2).astype(np.float32))
    np.testing.assert_array_equal(space.transform(IMAGES[:3]), seen[:3])


def test_what_float32_cannot_tell_apart_is_warned_of() -> None:
    x = 1e9 * np.arange(100)[None, None] + IMAGES[:, :1, :1] * np.ones(100)
    with pytest.warns(TrainingWarning, match=r"98 of the 100 elements .* x\[:, 0, 0\], "):
        learnt(x)
    learnt(IMAGES * UNITS[:, None])


def test_an_image_without_an_embedding_is_a_table_of_its_elements() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(600, 1))
    x = theta[:, :, None] + rng.normal(size=(600, 5, 6))
    image, table = (
        NPE(max_epochs=2, random_state=0).fit(theta, x.reshape(shape))
        for shape in [(600, 5, 6), (600, 30)]
    )
    np.testing.assert_array_equal(image.sample(x[0], 5), table.sample(x[0].ravel(), 5))
