"""Real data sets that are small enough to be written down."""

from __future__ import annotations

import pandas as pd

__all__ = ["load_influenza", "load_lynx_hare"]

_HARE = (
    *(30.0, 47.2, 70.2, 77.4, 36.3, 20.6, 18.1, 21.4, 22.0, 25.4, 27.1),
    *(40.3, 57.0, 76.6, 52.3, 19.5, 11.2, 7.6, 14.6, 16.2, 24.7),
)
_LYNX = (
    *(4.0, 6.1, 9.8, 35.2, 59.4, 41.7, 19.0, 13.0, 8.3, 9.1, 7.4),
    *(8.0, 12.3, 19.5, 45.7, 51.1, 29.7, 15.8, 9.7, 10.1, 8.6),
)
_IN_BED = (3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4)


def load_lynx_hare() -> pd.DataFrame:
    """
    Load the pelts of snowshoe hares and Canadian lynxes that the Hudson's Bay Company collected.

    Returns
    -------
    pandas.DataFrame of shape (21, 2)
        Thousands of pelts, columns "hare" and "lynx", index "year" from 1900 to 1920. The
        ``attrs`` hold the source and the unit.

    References
    ----------
    The Conservation of the Wild Life of Canada (Hewitt, 1921)
    https://archive.org/details/conservationofwi00hewi

    Predator-Prey Population Dynamics: the Lotka-Volterra model in Stan (Carpenter, 2018)
    https://mc-stan.org/users/documentation/case-studies/lotka-volterra-predator-prey.html

    Examples
    --------
    >>> from sksbi.datasets import load_lynx_hare
    >>> load_lynx_hare().head(2)
          hare  lynx
    year
    1900  30.0   4.0
    1901  47.2   6.1
    """
    table = pd.DataFrame(
        {"hare": _HARE, "lynx": _LYNX}, index=pd.RangeIndex(1900, 1921, name="year")
    )
    table.attrs["source"] = (
        "Hudson's Bay Company, after Hewitt (1921), The Conservation of the Wild Life of Canada, "
        "and Howard (2009), Modeling Basics"
    )
    table.attrs["unit"] = "thousands of pelts"
    return table


def load_influenza() -> pd.DataFrame:
    """
    Load the number of boys in bed during an outbreak of influenza at a boarding school, 1978.

    Returns
    -------
    pandas.DataFrame of shape (14, 1)
        Boys in bed, column "in_bed", index "day" from 1 to 14. The ``attrs`` hold the source and
        the population, 763 boys.

    References
    ----------
    Influenza in a boarding school (British Medical Journal 1, p. 587, 1978); used in

    Bayesian workflow for disease transmission modeling in Stan (Grinsztajn, Semenova, Margossian,
    Riou, 2021)
    https://arxiv.org/abs/2006.02985

    Examples
    --------
    >>> from sksbi.datasets import load_influenza
    >>> influenza = load_influenza()
    >>> int(influenza["in_bed"].max()), influenza.attrs["population"]
    (298, 763)
    """
    table = pd.DataFrame({"in_bed": _IN_BED}, index=pd.RangeIndex(1, 15, name="day"))
    table.attrs["source"] = "Influenza in a boarding school, British Medical Journal 1, 587 (1978)"
    table.attrs["population"] = 763
    return table
