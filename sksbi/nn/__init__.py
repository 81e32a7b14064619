"""Neural networks: conditional densities, flows by name, embeddings. Only torch and zuko."""

from sksbi.nn.convolution import ConvNet1d, ConvNet2d
from sksbi.nn.deep_set import DeepSet
from sksbi.nn.density import ConditionalDensity
from sksbi.nn.flows import build_flow, flow_names
from sksbi.nn.mlp import MLP, ResidualMLP
from sksbi.nn.spline import RationalQuadraticTransform
from sksbi.nn.spline_flow import SplineFlow, SplineMixture

__all__ = [
    "MLP",
    "ConditionalDensity",
    "ConvNet1d",
    "ConvNet2d",
    "DeepSet",
    "RationalQuadraticTransform",
    "ResidualMLP",
    "SplineFlow",
    "SplineMixture",
    "build_flow",
    "flow_names",
]
