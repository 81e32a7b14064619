"""What the tests of displays share: a posterior in closed form, its draws, and a watch."""

from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest

from sksbi.metrics import draw_held_out


class Gaussian:
    """Know the posterior of theta ~ N(0, 1) given x = theta + N(0, 1); a scale makes it wrong."""

    def __init__(self, scale=1.0, names=None):
        self.scale = scale * np.sqrt(0.5)
        if names is not None:
            self.prior_ = SimpleNamespace(names=names)

    @property
    def parameter_names_(self):
        return list(self.prior_.names)

    def sample(self, x, n_samples, *, random_state=None):
        mean = np.asarray(x)[:, None] / 2
        rng = np.random.default_rng(random_state)
        return mean + self.scale * rng.normal(size=(len(mean), n_samples, mean.shape[2]))

    def log_prob(self, theta, x):
        mean = np.asarray(x) / 2
        mean = mean if np.ndim(theta) == 2 else mean[:, None]
        return -0.5 * (((np.asarray(theta) - mean) / self.scale) ** 2).sum(axis=-1)

    def predict_log_ratio(self, theta, x):
        """Divide the posterior's density by the prior's, to the power of the scale."""
        theta, x = np.asarray(theta), np.asarray(x)
        ratio = (0.5 * np.log(2) - (theta - x / 2) ** 2 + theta**2 / 2).sum(axis=1)
        return self.scale / np.sqrt(0.5) * ratio


@pytest.fixture(autouse=True)
def _nothing_global_changes():
    """Hold that a display leaves matplotlib's settings and NumPy's generator as they were."""
    settings, state = dict(mpl.rcParams), np.random.get_state()[1].copy()  # noqa: NPY002
    yield
    assert dict(mpl.rcParams) == settings
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.fixture(scope="session")
def gaussian():
    return Gaussian


@pytest.fixture(scope="session")
def pairs():
    rng = np.random.default_rng(0)
    theta = rng.normal(size=(200, 2))
    return theta, theta + rng.normal(size=(200, 2))


@pytest.fixture(scope="session")
def held_out(pairs):
    return draw_held_out(Gaussian(), *pairs, 99, random_state=0)


@pytest.fixture(scope="session")
def narrow(pairs):
    return draw_held_out(Gaussian(0.5), *pairs, 99, random_state=0)


@pytest.fixture(scope="session")
def band_edges():
    """Give a function that reads the lower and the upper edge of a band."""

    def read(band, n):
        vertices = band.get_paths()[0].vertices
        return vertices[1 : n + 1, 1], vertices[n + 2 : 2 * n + 2, 1][::-1]

    return read


@pytest.fixture(scope="session")
def legend_texts():
    """Give a function that reads the legend of axes."""
    return lambda ax: [text.get_text() for text in ax.get_legend().get_texts()]
