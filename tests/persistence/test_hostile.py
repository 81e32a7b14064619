"""A file that somebody has made, or a disk has broken, does nothing but raise one error."""

import io
import json
import random
import resource
import struct
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse, stats
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.preprocessing import StandardScaler

from sksbi import NLE, NPE, NRE, ClassifierRatio, QuantilePosterior, load, save
from sksbi.exceptions import LoadError
from sksbi.pipeline import make_pipeline
from sksbi.utils.fingerprint import fingerprint

PRIOR = {"a": stats.norm(), "b": stats.norm()}
TINY = {"hidden_features": (8,), "max_epochs": 1, "random_state": 0}
RNG = np.random.default_rng(0)
THETA = RNG.normal(size=(100, 2))
X = THETA + RNG.normal(size=(100, 2))
NOT_OURS = "path must be a file that sksbi.save wrote, and .* is not, or it is damaged"


@pytest.fixture(scope="module")
def fitted() -> dict[str, BaseEstimator]:
    """Fit estimators whose files differ in kind."""
    flow = {"flow": "maf", "transforms": 1}
    made = {
        "flow": make_pipeline(StandardScaler(), NPE(PRIOR, **TINY, **flow)),
        "ratio": NRE(PRIOR, **TINY | {"random_state": np.random.default_rng(0)}),
        "likelihood": NLE(PRIOR, **TINY, **flow),
        "classifier": ClassifierRatio(prior=PRIOR, n_folds=2, random_state=0),
        "forest": QuantilePosterior(prior=PRIOR, n_folds=2, random_state=0),
    }
    return {name: estimator.fit(THETA, X) for name, estimator in made.items()}


@pytest.fixture(scope="module")
def files(fitted: dict, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Save them."""
    path = tmp_path_factory.mktemp("files") / "f.sksbi"
    return {
        name: (save(estimator, path), path.read_bytes())[1] for name, estimator in fitted.items()
    }


def loaded(content: bytes, folder: Path, **options: object) -> Any:
    """Load a file with some content."""
    path = folder / "f.sksbi"
    path.write_bytes(content)
    return load(path, **options)


def written(value: object, folder: Path) -> bytes:
    """Give the content of a file."""
    save(value, folder / "w.sksbi")
    return (folder / "w.sksbi").read_bytes()


def members(content: bytes) -> dict[str, bytes]:
    """Take an archive apart."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def packed(parts: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """Put an archive together."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return buffer.getvalue()


def edited(content: bytes, change: Callable[[dict], Any]) -> bytes:
    """Change the JSON."""
    parts = members(content)
    tree = json.loads(parts["objects.json"])
    change(tree)
    return packed(parts | {"objects.json": json.dumps(tree).encode()})


def of_nodes(*nodes: dict, arrays: tuple[np.ndarray, ...] = ()) -> bytes:
    """Make a file of some nodes, of which the last is wanted."""
    tree = {"format": 1, "sksbi": "0", "objects": nodes, "root": {"at": len(nodes) - 1}}
    parts = {"objects.json": json.dumps(tree).encode()}
    for number, array in enumerate(arrays):
        buffer = io.BytesIO()
        np.save(buffer, array)
        parts[f"array_{number}.npy"] = buffer.getvalue()
    return packed(parts)


LIST = {"kind": "list", "items": ["touch /tmp/hacked"]}


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "builtins.eval",
        "builtins.getattr",
        "subprocess.Popen",
        "numpy.load",
        "numpy.f2py.main",
        "torch.load",
        "torch.hub.load",
        "joblib.load",
        "sklearn.datasets.fetch_openml",
        "sksbi.simulation.CommandSimulator",
        "sksbi.simulation._command.CommandSimulator",
        "sksbi.data.pack",
        "sksbi.data.store.SimulationStore",
        "sksbi.training.checkpoint.Checkpoint",
        "sksbi.estimators.kept.find_checkpoint",
        "sksbi.estimators.base.unchanged_on",
        "sksbi.nn.embedded.nn.Module",
        "sksbi.load",
        "shutil.rmtree",
    ],
)
@pytest.mark.parametrize("kind", ["name", "call", "object"])
def test_what_is_not_known_is_not_built(name: str, kind: str, tmp_path: Path) -> None:
    named = {"name": name} if kind == "name" else {"class": name, "args": [{"at": 0}]}
    with pytest.raises(LoadError, match=rf"not known: \['{name}'\]"):
        loaded(of_nodes(LIST, {"kind": kind} | named), tmp_path)


def test_nothing_is_imported_before_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile_module.py").write_text("class Thing:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = of_nodes({"kind": "object", "class": "hostile_module.Thing", "args": []})
    with pytest.raises(LoadError, match=r"load it with trusted=\['hostile_module\.Thing'\]"):
        loaded(content, tmp_path)
    assert "hostile_module" not in sys.modules
    thing = loaded(content, tmp_path, trusted=["hostile_module.Thing"])
    assert type(thing).__name__ == "Thing"
    del sys.modules["hostile_module"]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (
            (
                {"kind": "name", "name": "builtins.bytes"},
                {"kind": "call", "class": "builtins.bytes", "args": [10**12]},
            ),
            "may not be called",
        ),
        (({"kind": "object", "class": "builtins.bytes", "args": [10**12]},), "no class to make"),
        (({"kind": "call", "class": "sksbi.nn.MLP", "args": [10**9, 10**9]},), "may not be called"),
        (
            (
                {"kind": "name", "name": "numpy.add"},
                {"kind": "tuple", "items": [1, 2]},
                {"kind": "dict", "pairs": []},
                {"kind": "partial", "items": [{"at": i} for i in range(3)]},
            ),
            "no file may give arguments to",
        ),
        (({"kind": "list", "items": [{"at": 0}]},), "no node before"),
        (({"kind": "list", "items": [{"at": 1}]}, LIST), "no node before"),
        (({"kind": "list", "items": [{"at": -1}]},), "no node before"),
        (({"kind": "list", "items": [[1]]},), "a value is a list"),
        (({"kind": "thing"},), "'thing'"),
        (({"kind": "array", "array": 3},), "array_3.npy"),
        (({"kind": "name", "name": "os..system"},), "is no name"),
        (({"kind": "name", "name": 5},), "is no name"),
        (
            ({"kind": "distribution", "name": "gaussian_kde", "args": [], "kwds": []},),
            "is no distribution",
        ),
        (({"kind": "scalar", "dtype": "O", "bytes": "00" * 8},), "another size"),
    ],
)
def test_nodes_that_cannot_be_are_refused(nodes: tuple, words: str, tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=f"{NOT_OURS}.*{words}"):
        loaded(of_nodes(*nodes), tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("hidden_features", [10**6, 10**6]), ("transforms", 10**9), ("hidden_features", [10**9])],
)
def test_no_network_is_built_that_is_larger_than_its_weights(
    setting: str, value: Any, files: dict, tmp_path: Path
) -> None:
    """Neither in one step nor in a thousand million."""

    def enlarge(tree: dict) -> None:
        nodes = tree["objects"]
        made = value
        if isinstance(value, list):
            at = next(i for i, n in enumerate(nodes) if n["kind"] == "tuple" and n["items"] == [8])
            nodes[at]["items"] = value
            return
        for node in nodes:
            for pair in node.get("pairs", ()):
                if pair[0] == setting:
                    pair[1] = made

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LoadError, match="much larger than its weights in the file"):
        loaded(edited(files["flow"], enlarge), tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB


def with_header(content: bytes, shape: str) -> bytes:
    """Let the first array say that it has another shape."""
    parts = members(content)
    data = parts["array_0.npy"]
    (n,) = struct.unpack_from("<H", data, 8)
    head = data[10 : 10 + n].decode()
    start, end = head.index("'shape': ") + 9, head.index("}")
    made = (head[:start] + shape + "}").encode()
    assert end
    parts["array_0.npy"] = data[:8] + struct.pack("<H", len(made)) + made + data[10 + n :]
    return packed(parts)


@pytest.mark.parametrize(
    "shape",
    ["(1000000000000,)", "(-3,)", "(3.0,)", "(0,)", "((3,),)", "3", "(2**40,)", "(True, 3)"],
)
def test_an_array_has_the_size_of_its_contents(shape: str, tmp_path: Path) -> None:
    content = written(np.arange(3.0), tmp_path)
    with pytest.raises(LoadError, match=NOT_OURS):
        loaded(with_header(content, shape), tmp_path)
    assert loaded(with_header(content, "(3,)"), tmp_path).tolist() == [0, 1, 2]


def test_no_pickle_is_read(tmp_path: Path) -> None:
    parts = members(written(np.arange(3.0), tmp_path))
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(LoadError, match=NOT_OURS):
        loaded(packed(parts | {"array_0.npy": buffer.getvalue()}), tmp_path)


# The archive.


def test_bombs_and_foreign_members_are_refused(tmp_path: Path) -> None:
    content = written(np.zeros(10_000), tmp_path)
    parts = members(content)
    for other in (
        packed(parts, zipfile.ZIP_DEFLATED),
        packed(parts | {"../../evil": b"1"}),
        packed(parts | {"/etc/evil": b"1"}),
        packed(parts | {"array_01.npy": b"1"}),
        packed({k: v for k, v in parts.items() if k != "array_0.npy"}),
        packed({k: v for k, v in parts.items() if k != "objects.json"}),
        packed(parts | {"objects.json": b"[" * 100_000}),
        packed(parts | {"objects.json": b"\xff"}),
        packed(parts | {"objects.json": b"9" * 10_000}),
        packed({}),
        b"",
        b"no zip",
        content[:200] * 50,
    ):
        with pytest.raises(LoadError, match=NOT_OURS):
            loaded(other, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.sksbi", "w.sksbi"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO(written([1, 2], tmp_path))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("objects.json", b"{}")
    with pytest.raises(LoadError, match="it has other members"):
        loaded(buffer.getvalue(), tmp_path)


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """The way to a large content in a small file without compression."""
    content = written([np.zeros(1_000), np.ones(1_000)], tmp_path)
    size, at = len(content), content.rindex(b"PK\x05\x06")
    start = struct.unpack_from("<I", content, at + 16)[0]
    entries, places = bytearray(content[start:at]), []
    place = 0
    while place < len(entries):
        places.append(place)
        lengths = struct.unpack_from("<HHH", entries, place + 28)
        place += 46 + sum(lengths)
    first = struct.unpack_from("<I", entries, places[1] + 42)[0]
    struct.pack_into("<I", entries, places[2] + 42, first)
    made = content[:start] + bytes(entries) + content[at:]
    assert len(made) == size
    with pytest.raises(LoadError, match=NOT_OURS):
        loaded(made, tmp_path)


def test_a_newer_form_says_so(tmp_path: Path) -> None:
    newer = edited(written(1, tmp_path), lambda t: t.update(format=2, sksbi="9.9"))
    with pytest.raises(LoadError, match=r"written by sksbi 9\.9 in format 2.*update sksbi"):
        loaded(newer, tmp_path)
    for form in ("1", None, True, 1.5):
        other = edited(written(1, tmp_path), lambda t, form=form: t.update(format=form))
        with pytest.raises(LoadError, match=NOT_OURS):
            loaded(other, tmp_path)


def test_arguments(tmp_path: Path) -> None:
    save(1, tmp_path / "f.sksbi")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.sksbi")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(TypeError, match="path must be the path of a file, got 5"):
        load(5)
    with pytest.raises(TypeError, match="path must be the path of a file, got None"):
        save(1, None)
    for trusted in ("a.b", [int], 5):
        with pytest.raises(TypeError, match="trusted must be names"):
            load(tmp_path / "f.sksbi", trusted=trusted)


# Objects whose compiled code believes what it is told.


def changed_array(content: bytes, change: Callable[[np.ndarray], Any]) -> bytes:
    """Change arrays, the checksums of the archive with them."""
    parts = members(content)
    for name in [name for name in parts if name.endswith("npy")]:
        array = np.load(io.BytesIO(parts[name])).copy()
        change(array)
        buffer = io.BytesIO()
        np.save(buffer, array)
        parts[name] = buffer.getvalue()
    return packed(parts)


def set_field(field: str, value: float) -> Callable[[np.ndarray], Any]:
    """Change a field of the root of every tree."""

    def change(array: np.ndarray) -> None:
        if array.dtype.names and field in array.dtype.names and len(array) > 1:
            array[field][0] = value

    return change


@pytest.mark.parametrize(
    ("estimator", "field", "value"),
    [
        (RandomForestRegressor(1), "left_child", 10**6),
        (RandomForestRegressor(1), "left_child", 0),
        (RandomForestRegressor(1), "right_child", -7),
        (RandomForestRegressor(1), "feature", 99),
        (HistGradientBoostingRegressor(max_iter=1), "left", 10**6),
        (HistGradientBoostingRegressor(max_iter=1), "right", 0),
        (HistGradientBoostingRegressor(max_iter=1), "feature_idx", 99),
        (HistGradientBoostingRegressor(max_iter=1), "is_categorical", 1),
    ],
)
def test_trees_lead_to_their_leaves(
    estimator: BaseEstimator, field: str, value: int, tmp_path: Path
) -> None:
    content = written(estimator.fit(X, THETA[:, 0]), tmp_path)
    loaded(changed_array(content, lambda array: None), tmp_path)
    with pytest.raises(LoadError, match=f"{NOT_OURS}.*tree"):
        loaded(changed_array(content, set_field(field, value)), tmp_path)


@pytest.mark.parametrize(
    "estimator", [RandomForestRegressor(1), HistGradientBoostingRegressor(max_iter=1)]
)
def test_tables_are_as_wide_as_trees_ask(estimator: BaseEstimator, tmp_path: Path) -> None:
    """Else a narrow table would be read beyond its end."""
    content = written(estimator.fit(THETA[:, [0, 0, 1]], THETA[:, 1]), tmp_path)

    def narrow(tree: dict) -> None:
        for node in tree["objects"]:
            for pair in node.get("pairs", ()):
                pair[1] = 1 if pair[0] == "n_features_in_" else pair[1]

    with pytest.raises(LoadError, match="a tree asks for features that the table has not"):
        loaded(edited(content, narrow), tmp_path)


def test_a_tree_has_as_many_outputs_as_it_is_told_of(tmp_path: Path) -> None:
    content = written(RandomForestRegressor(1).fit(X, THETA[:, 0]), tmp_path)

    def more(tree: dict) -> None:
        for node in tree["objects"]:
            if node.get("class") == "sklearn.tree._tree.Tree":
                node["args"][2] = 10**6

    with pytest.raises(LoadError, match="other outputs than classes"):
        loaded(edited(content, more), tmp_path)


def test_no_table_is_made_of_one_number(tmp_path: Path) -> None:
    """pandas would repeat it as often as an index is long."""
    index = {"kind": "range_index", "bounds": [0, 10**12, 1], "name": None}
    number = {"kind": "scalar", "dtype": "<f8", "bytes": "00" * 8}
    values = ["numpy", {"at": 0}]
    series = {"kind": "series", "values": values, "index": index, "name": None}
    columns = {"kind": "range_index", "bounds": [0, 1, 1], "name": None}
    frame = {"kind": "frame", "values": [values], "index": index, "columns": columns}
    for node in (series, frame):
        with pytest.raises(LoadError, match="a column is none"):
            loaded(of_nodes(number, node), tmp_path)


def test_generators_stay_in_their_state(tmp_path: Path) -> None:
    content = written(np.random.RandomState(0), tmp_path)

    def beyond(tree: dict) -> None:
        for node in tree["objects"]:
            for pair in node.get("pairs", ()):
                pair[1] = 10**9 if pair[0] == "pos" else pair[1]

    with pytest.raises(LoadError, match="nowhere in its state"):
        loaded(edited(content, beyond), tmp_path)


def test_sparse_matrices_end_where_they_do(tmp_path: Path) -> None:
    content = written(sparse.csr_matrix(np.eye(3)), tmp_path)
    assert loaded(content, tmp_path).toarray().tolist() == np.eye(3).tolist()

    def beyond(array: np.ndarray) -> None:
        if array.dtype.kind == "i":
            array[-1] = 10**6

    with pytest.raises(LoadError, match=NOT_OURS):
        loaded(changed_array(content, beyond), tmp_path)


# What a security review has found.


def nested(kind: str, depth: int) -> list[dict]:
    """Put nodes into each other."""
    inner = {"slice": lambda at: {"kind": "slice", "items": [at, None, None]}}
    make = inner.get(kind, lambda at: {"kind": kind, "items": [at]})
    return [LIST, *(make({"at": i}) for i in range(depth))]


def doubled(kind: str, times: int) -> list[dict]:
    """Let every node hold the one before twice."""
    return [{"kind": kind, "items": [1]}] + [
        {"kind": kind, "items": [{"at": i}, {"at": i}]} for i in range(times)
    ]


RANGE = [
    {"kind": "range", "items": [0, 10**10, 1]},
    {"kind": "call", "class": "collections.deque", "args": [{"at": 0}]},
]
CSR = [
    {"kind": "tuple", "items": [0, 1]},
    {"kind": "object", "class": "scipy.sparse.csr_matrix", "args": [], "pairs": [[{"at": 0}, 2.0]]},
]
TZ = [
    {"kind": "objects", "shape": [0], "items": []},
    {
        "kind": "index",
        "column": ["datetime64[ns, dateutil/../../tmp/file]", {"at": 0}],
        "name": None,
    },
]
SLOTS = [
    {"kind": "dict", "pairs": []},
    {"kind": "dict", "pairs": [["__dict__", {"at": 0}]]},
    {"kind": "tuple", "items": [None, {"at": 1}]},
    {"kind": "object", "class": "sklearn._loss.link.LogLink", "args": [], "state": {"at": 2}},
]
BSPLINE = [{"kind": "object", "class": "scipy.interpolate.BSpline", "args": []}]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([*nested("tuple", 200), {"kind": "set", "items": [{"at": 200}]}], "nested too deeply"),
        (nested("slice", 200), "nested too deeply"),
        (doubled("tuple", 60), "shared too often"),
        (doubled("list", 60), "shared too often"),
        (RANGE, "a range is too long"),
        (CSR, "csr_matrix"),
        (TZ, "a column of datetime64"),
        (SLOTS, "'__dict__' is no slot"),
        (BSPLINE, "no class to make objects of"),
    ],
)
def test_objects_that_would_crash_or_fill_the_memory(
    nodes: list, words: str, tmp_path: Path
) -> None:
    with pytest.raises(LoadError, match=words):
        loaded(of_nodes(*nodes), tmp_path)


def test_arrays_are_no_cheaper_than_they_look(tmp_path: Path) -> None:
    """Each is one node's, and what has no size is none."""
    twice = [{"kind": "array", "array": 0}, {"kind": "array", "array": 0}]
    with pytest.raises(LoadError, match="an array stands in two places"):
        loaded(of_nodes(*twice, arrays=(np.zeros(3),)), tmp_path)
    parts = members(written(np.zeros(0), tmp_path))
    head = b"{'descr': '|V0', 'fortran_order': False, 'shape': (1000000000000,), }\n"
    data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
    with pytest.raises(LoadError, match="an array has another size"):
        loaded(packed(parts | {"array_0.npy": data}), tmp_path)
    wide = [{"kind": "array", "array": 0}, {"kind": "array", "array": 1}]
    kappa = {"kind": "distribution", "name": "kappa4", "args": [{"at": 0}, {"at": 1}], "kwds": []}
    arrays = np.full((2_000, 1), 0.1), np.full((1, 2_000), 0.1)
    with pytest.raises(LoadError, match="a distribution is too many"):
        loaded(of_nodes(*wide, kappa, arrays=arrays), tmp_path)


@pytest.mark.parametrize("name", ["LSTM", "GRUCell", "TransformerEncoder"])
def test_some_networks_need_trust(name: str, tmp_path: Path) -> None:
    """Their compiled code, or their copies, believe the sizes that they are told."""
    with pytest.raises(LoadError, match=rf"not known: \['torch\.nn\.{name}'\]"):
        loaded(of_nodes({"kind": "name", "name": f"torch.nn.{name}"}), tmp_path)


def test_asking_for_a_name_imports_nothing(tmp_path: Path) -> None:
    """NumPy imports some modules when they are looked for."""
    before = {*sys.modules}
    for name in ("numpy.f2py", "numpy.ctypeslib", "numpy.testing", "numpy.matlib"):
        with pytest.raises(LoadError, match="not known"):
            loaded(of_nodes({"kind": "name", "name": name}), tmp_path)
    assert {*sys.modules} == before


def test_a_counter_of_random_bits_stays_in_its_buffer(tmp_path: Path) -> None:
    content = written(np.random.Generator(np.random.Philox(0)), tmp_path)

    def before(tree: dict) -> None:
        for node in tree["objects"]:
            for pair in node.get("pairs", ()):
                pair[1] = -(2**30) if pair[0] == "buffer_pos" else pair[1]

    with pytest.raises(LoadError, match="nowhere in its state"):
        loaded(edited(content, before), tmp_path)


def test_boosting_has_as_many_trees_a_stage_as_it_writes_for(tmp_path: Path) -> None:
    content = written(GradientBoostingRegressor(n_estimators=2).fit(X, THETA[:, 0]), tmp_path)

    def widen(tree: dict) -> None:
        for node in tree["objects"]:
            if node["kind"] == "objects" and node["shape"] == [2, 1]:
                node["shape"], node["items"] = [2, 50], node["items"] * 50

    with pytest.raises(LoadError, match="boosting has other trees in a stage than it says"):
        loaded(edited(content, widen), tmp_path)


def in_states(content: bytes, name: str, value: Any) -> bytes:
    """Change an attribute wherever it stands."""

    def change(tree: dict) -> None:
        for node in tree["objects"]:
            for pair in node.get("pairs", ()):
                pair[1] = value if pair[0] == name else pair[1]

    return edited(content, change)


def test_boosting_has_bins_for_every_feature(tmp_path: Path) -> None:
    content = written(HistGradientBoostingRegressor(max_iter=1).fit(X, THETA[:, 0]), tmp_path)
    at = next(
        {"at": i}
        for i, node in enumerate(json.loads(members(content)["objects.json"])["objects"])
        if node["kind"] == "list"
    )
    empty = edited(content, lambda tree: tree["objects"][at["at"]].update(items=[]))
    for other in (in_states(content, "n_features_in_", 3), empty):
        with pytest.raises(LoadError, match=f"{NOT_OURS}.*(bins|features)"):
            loaded(other, tmp_path)


def test_sets_of_categories_are_of_eight_numbers(tmp_path: Path) -> None:
    table = np.column_stack([np.arange(100) % 5, X[:, 0]])
    boosting = HistGradientBoostingRegressor(max_iter=1, categorical_features=[0])
    content = written(boosting.fit(table, table[:, 0] % 2), tmp_path)
    loaded(content, tmp_path)
    parts = members(content)
    for name in [name for name in parts if name.endswith("npy")]:
        array = np.load(io.BytesIO(parts[name]))
        if array.dtype == np.uint32 and array.ndim == 2:
            buffer = io.BytesIO()
            np.save(buffer, array.reshape(1, -1) if len(array) > 1 else array.reshape(-1, 4))
            parts[name] = buffer.getvalue()
    with pytest.raises(LoadError, match="a tree asks for categories that there are not"):
        loaded(packed(parts), tmp_path)


def test_trees_are_as_deep_as_they_say(tmp_path: Path) -> None:
    content = written(RandomForestRegressor(1).fit(X, THETA[:, 0]), tmp_path)

    def flatten(tree: dict) -> None:
        nodes = tree["objects"]
        for node in nodes:
            pairs = {pair[0]: pair for pair in node.get("pairs", ())}
            if "node_count" in pairs:
                pairs["max_depth"][1] = 0

    with pytest.raises(LoadError, match="a tree is deeper than it says"):
        loaded(edited(content, flatten), tmp_path)


# Thousands of files.


def changed_bytes(content: bytes, source: random.Random) -> bytes:
    """Flip bits, cut, append, or copy a piece elsewhere."""
    made, n = bytearray(content), len(content)
    way = source.random()
    if way < 0.5:
        for _ in range(source.choice([1, 1, 3, 20])):
            made[source.randrange(n)] ^= 1 << source.randrange(8)
    elif way < 0.7:
        del made[source.randrange(n) :]
    elif way < 0.8:
        made += source.randbytes(50)
    else:
        start, other, size = source.randrange(n), source.randrange(n), source.randrange(1, 200)
        made[start : start + size] = made[other : other + size]
    return bytes(made)


def changed_tree(content: bytes, source: random.Random) -> bytes:
    """Change values, keys and nodes of the JSON, and now and then bytes of arrays."""
    parts = members(content)
    tree = json.loads(parts["objects.json"])
    nodes = tree["objects"]

    def anything() -> Any:
        some = [
            None,
            True,
            -1,
            0,
            10**12,
            2**70,
            1e308,
            "x",
            "os.system",
            "builtins.eval",
            "sksbi.NPE",
        ]
        some += ["float64", "|O", "<f8", [], {}, [1] * 5, {"a": 1}, {"at": -1}, {"at": 10**9}]
        return source.choice([*some, {"at": source.randrange(len(nodes))}])

    for _ in range(source.choice([1, 1, 2, 5])):
        node = source.choice(nodes)
        key = source.choice(list(node))
        value = node[key]
        if isinstance(value, list) and value and source.random() < 0.8:
            place = source.randrange(len(value))
            inner = value[place]
            if isinstance(inner, list) and inner and source.random() < 0.8:
                inner[source.randrange(len(inner))] = anything()
            else:
                value[place] = anything()
        elif source.random() < 0.1 and len(nodes) > 1:
            nodes.pop(source.randrange(len(nodes)))
        else:
            node[key] = anything()
        if source.random() < 0.1:
            tree[source.choice(list(tree))] = anything()
    parts["objects.json"] = json.dumps(tree).encode()
    for name in [name for name in parts if name.endswith("npy") and source.random() < 0.01]:
        data = bytearray(parts[name])
        for _ in range(3):
            data[source.randrange(len(data))] = source.randrange(256)
        parts[name] = bytes(data)
    return packed(parts)


def fuzz(files: dict, folder: Path, n_files: int) -> Counter[str]:
    """Load changed files; all that may be raised is one error."""
    told: Counter[str] = Counter()

    @settings(
        max_examples=n_files,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**63), st.sampled_from(sorted(files)), st.booleans())
    def one(seed: int, name: str, in_bytes: bool) -> None:
        change = changed_bytes if in_bytes else changed_tree
        try:
            loaded(change(files[name], random.Random(seed)), folder)
            told["loaded"] += 1
        except LoadError:
            told["refused"] += 1

    one()
    return told


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("n_files", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_a_changed_file_is_refused_or_loads(n_files: int, files: dict, tmp_path: Path) -> None:
    """No other error, no crash, and little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = fuzz(files, tmp_path, n_files)
    assert told["refused"] > n_files / 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # KiB


@pytest.mark.parametrize("name", ["flow", "classifier"])
def test_a_damaged_file_is_never_another_object(
    name: str, fitted: dict, files: dict, tmp_path: Path
) -> None:
    """Of a flipped bit: it is told, or it changes nothing, as in the date of a member."""
    source, expected = random.Random(0), fingerprint(fitted[name].score(THETA, X))
    n_refused = 0
    for _ in range(60):
        content = bytearray(files[name])
        content[source.randrange(len(content))] ^= 1 << source.randrange(8)
        try:
            again = loaded(bytes(content), tmp_path)
        except LoadError:
            n_refused += 1
        else:
            assert fingerprint(again.score(THETA, X)) == expected
    assert n_refused > 40
    for cut in np.linspace(0, len(files[name]) - 1, 30).astype(int):
        with pytest.raises(LoadError, match=NOT_OURS):
            loaded(files[name][:cut], tmp_path)
