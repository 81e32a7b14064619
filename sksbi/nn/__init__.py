"""Neural networks: conditional densities, ratios, embeddings. Only torch and zuko."""

from sksbi.nn.categorical import MaskedCategorical
from sksbi.nn.conditional_field import ConditionalField
from sksbi.nn.convolution import ConvNet1d, ConvNet2d
from sksbi.nn.deep_set import DeepSet
from sksbi.nn.density import ConditionalDensity
from sksbi.nn.field import FieldAt, VectorField, build_field, field_names
from sksbi.nn.flows import build_flow, flow_names
from sksbi.nn.likelihood import ConditionalLikelihood, MixedDistribution
from sksbi.nn.marginal_flow import MarginalFlow
from sksbi.nn.marginal_ratio import MarginalRatio
from sksbi.nn.mixture import SplineMixture
from sksbi.nn.mlp import MLP, ResidualMLP
from sksbi.nn.ratio import (
    ConditionalRatio,
    LogRatio,
    build_ratio_network,
    ratio_network_names,
)
from sksbi.nn.ratio_mlp import RatioMLP
from sksbi.nn.spline import RationalQuadraticTransform
from sksbi.nn.spline_flow import SplineFlow

__all__ = [
    "MLP",
    "ConditionalDensity",
    "ConditionalField",
    "ConditionalLikelihood",
    "ConditionalRatio",
    "ConvNet1d",
    "ConvNet2d",
    "DeepSet",
    "FieldAt",
    "LogRatio",
    "MarginalFlow",
    "MarginalRatio",
    "MaskedCategorical",
    "MixedDistribution",
    "RatioMLP",
    "RationalQuadraticTransform",
    "ResidualMLP",
    "SplineFlow",
    "SplineMixture",
    "VectorField",
    "build_field",
    "build_flow",
    "build_ratio_network",
    "field_names",
    "flow_names",
    "ratio_network_names",
]
