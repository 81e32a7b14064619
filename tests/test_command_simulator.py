"""Programs as simulators: what they are given, what is read, and what is told where they fail."""

import os
import pickle
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sksbi import simulate
from sksbi.exceptions import CommandError
from sksbi.simulation import CommandSimulator

PRIOR = {"mass": stats.uniform(1, 2), "rate": stats.norm()}
ROW = pd.Series({"mass": 0.1 + 0.2, "rate": -1e-300})


def python(code, *arguments, **options):
    """Make a simulator of a Python program."""
    return CommandSimulator([sys.executable, "-c", textwrap.dedent(code), *arguments], **options)


def call(simulator, theta=ROW, seed=0):
    """Run it once."""
    return simulator(theta, np.random.default_rng(seed))


ECHO = "import sys, json; print(json.dumps({str(k): v for k, v in enumerate(sys.argv[1:])}))"


def test_arguments_are_values_with_all_their_digits():
    found = call(python(ECHO, "{mass}", "--rate={rate}", "{mass:.3f}", "{}{mas}"))
    assert float(found["0"]) == 0.1 + 0.2
    assert float(found["1"].removeprefix("--rate=")) == -1e-300
    assert [found["2"], found["3"]] == ["0.300", "{}{mas}"]


def test_a_command_is_cut_before_values_are_put_in():
    """No value and no quote reaches a shell."""
    command = f"{sys.executable} -c '{ECHO}' '{{mass}} $HOME; ls *' {{rate}}"
    assert call(CommandSimulator(command))["0"] == f"{0.1 + 0.2} $HOME; ls *"


def test_parameters_without_names_are_numbered():
    found = call(python(ECHO, "{theta_1}", "{theta_0}"), np.array([1.5, 2.5]))
    assert found == {"0": "2.5", "1": "1.5"}


def test_simulate_is_reproducible_and_independent_of_jobs():
    program = """
        import json, random, sys
        random.seed(int(sys.argv[3]))
        print(json.dumps({"x": float(sys.argv[1]) + random.gauss(0, 1), "y": sys.argv[2]}))
        """
    simulator = python(program, "{mass}", "{rate:.0e}", "{seed}")
    theta, x = simulate(simulator, PRIOR, 6, random_state=0)
    again = simulate(simulator, PRIOR, 6, n_jobs=2, random_state=0)
    pd.testing.assert_frame_equal(again[1], x)
    assert x["x"].nunique() == 6
    assert x["y"].tolist() == [f"{rate:.0e}" for rate in theta["rate"]]


@pytest.mark.parametrize(
    ("parse", "printed", "expected"),
    [
        ("json", '{"a": 1, "b": [2, null], "c": {"d": 3}}', {"a": 1, "b_0": 2, "b_1": np.nan,
                                                            "c_d": 3}),
        ("json", "[[1, 2], [3, 4]]", [[1, 2], [3, 4]]),
        ("json", "2.5", 2.5),
        ("csv", "a, b\n1, x\n", {"a": 1, "b": "x"}),
        ("csv", "a,b\n1,2\n3,4\n", [[1, 2], [3, 4]]),
        ("numbers", "1 2,3e1\n", [1, 2, 30]),
        ("numbers", "1\n2\n3\n", [1, 2, 3]),
        ("numbers", "1 2\n\n3 4\n", [[1, 2], [3, 4]]),
        ("numbers", " 7\n", 7),
        (str.upper, "seven", "SEVEN"),
        (lambda text: len(text), "seven", 5),
    ],
)  # fmt: skip
def test_results_are_read(parse, printed, expected):
    code = f"import sys; sys.stdout.write({printed!r})"
    found = call(python(code, "{mass}", "{rate}", parse=parse))
    if isinstance(expected, dict):
        assert found == pytest.approx(expected, nan_ok=True)
    elif isinstance(expected, str):
        assert found == expected
    else:
        np.testing.assert_array_equal(found, expected)


def test_files_are_read_and_written_in_a_folder_of_the_row():
    program = """
        import json, os, pathlib
        given = dict(line.split(" = ") for line in open("in.txt").read().splitlines())
        json.dump({"m": float(given["mass"]), "r": float(given["rate"])}, open("out.json", "w"))
        assert sorted(os.listdir()) == ["in.txt", "out.json"]
        """
    options = {"files": {"in.txt": "mass = {mass}\nrate = {rate}\n"}, "cwd": "{folder}"}
    simulator = python(program, output=Path("out.json"), **options)
    assert call(simulator) == {"m": 0.1 + 0.2, "r": -1e-300}
    seen = []
    look = python(program, output="{folder}/out.json", parse=seen.append, **options)
    call(look)
    assert isinstance(seen[0], Path)
    assert not seen[0].parent.exists()


def test_the_environment_is_added_to(monkeypatch):
    monkeypatch.setenv("SKSBI_HERE", "1")
    code = "import os; print(os.environ['SKSBI_HERE'], os.environ['SKSBI_THERE'])"
    simulator = python(code, "{mass}{rate}", parse="numbers", env={"SKSBI_THERE": "2"})
    assert call(simulator).tolist() == [1, 2]


FAIL = """
    import sys
    print("began")
    print("x" * 5000, "the mass is too large", file=sys.stderr)
    sys.exit(3)
    """


@pytest.mark.parametrize(
    ("code", "options", "told"),
    [
        (FAIL, {}, "(?s)command .*exit status 3.*It said:\nx+ the mass is too large$"),
        ("import os; os.abort()", {}, "was ended by SIGABRT. It said nothing"),
        ("print('{')", {}, r"cannot be read by parse='json': JSONDecodeError.*begin with '\{"),
        ("pass", {}, "cannot be read by parse='json'"),
        ("""print('{"a": [1], "a_0": 2}')""", {}, "two values have the name 'a_0'"),
        ("pass", {"parse": "csv"}, "cannot be read by parse='csv'"),
        ("print('a,b')", {"parse": "csv"}, "there is no row under the names"),
        ("pass", {"parse": "numbers"}, "there is no number"),
        ("print('a')", {"parse": lambda text: 1 // 0}, "ZeroDivisionError"),
        ("pass", {"output": "{folder}/out.json"}, "has written no file .*out.json"),
        ("import time; time.sleep(60)", {"timeout": 0.3}, "took longer than 0.3 s"),
    ],
)
def test_failures_tell_what_happened(code, options, told):
    with pytest.raises(CommandError, match=told) as info:
        call(python(code, "{mass}", "{rate}", **options))
    assert repr(0.1 + 0.2) in str(info.value)
    assert len(str(info.value)) < 5_000


def test_a_program_that_is_not_there():
    with pytest.raises(CommandError, match="/no/such/program .* cannot start"):
        call(CommandSimulator("/no/such/program {mass} {rate}"))
    with pytest.raises(CommandError, match="cannot start"):
        call(python("pass", "{mass}", "{rate}", cwd="/no/such/folder"))


def test_runs_that_fail_are_failures_of_their_rows():
    code = "import sys; m = float(sys.argv[1]); print(m) if m < 2 else sys.exit('too heavy')"
    theta, x = simulate(
        python(code, "{mass}", "{rate}", parse="numbers"), PRIOR, 12, on_error="keep",
        random_state=0,
    )  # fmt: skip
    np.testing.assert_array_equal(x, np.where(theta["mass"] < 2, theta["mass"], np.nan))


def alive(pid):
    """Tell whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[-1][:3]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks the Linux kernel")
def test_the_end_of_time_ends_what_a_program_has_started(tmp_path):
    code = """
        import pathlib, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pathlib.Path(sys.argv[3]).write_text(str(child.pid))
        time.sleep(60)
        """
    file = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(CommandError, match="was stopped"):
        call(python(code, "{mass}", "{rate}", str(file), timeout=2))
    assert time.monotonic() - began < 30
    pid = int(file.read_text())
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def test_what_a_program_leaves_behind_does_not_hold_it():
    """A process that stays would keep a pipe open."""
    code = """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(20)"])
        print(1)
        """
    began = time.monotonic()
    assert call(python(code, "{mass}", "{rate}", parse="numbers")) == 1
    assert time.monotonic() - began < 15


def test_it_is_pickled_and_shown():
    simulator = python(ECHO, "{mass}", "{rate}")
    assert call(pickle.loads(pickle.dumps(simulator))) == call(simulator)
    assert repr(CommandSimulator("./sim {mass}")) == "CommandSimulator('./sim {mass}')"


@pytest.mark.parametrize(
    ("command", "options", "error", "told"),
    [
        (3, {}, TypeError, "command must be a str or a sequence of str, got 3"),
        ("", {}, ValueError, "command must name a program"),
        ("./sim", {"parse": "xml"}, ValueError, "parse must be callable or one of .*got 'xml'"),
        ("./sim", {"timeout": 0}, ValueError, "timeout must be .*got 0"),
        ("./sim", {"timeout": "1"}, TypeError, "timeout must be .*got '1'"),
    ],
)
def test_wrong_arguments_are_told_at_once(command, options, error, told):
    with pytest.raises(error, match=told):
        CommandSimulator(command, **options)


def test_places_and_parameters_go_together():
    with pytest.raises(ValueError, match=r"a place for every parameter, .* without \{rate\}"):
        simulate(CommandSimulator("./sim {mass}"), PRIOR, 2)
    spaced = pd.Series({"a mass": 1.5})
    assert call(CommandSimulator([sys.executable, "-c", ECHO, "{a mass}"]), spaced) == {"0": "1.5"}


def test_results_of_an_earlier_run_are_none_of_this_one(tmp_path):
    """A run that writes nothing fails, although a file is there."""
    program = """
        import sys
        if float(sys.argv[1]) > 0:
            open(sys.argv[2], "w").write(sys.argv[1])
        """
    file = str(tmp_path / "{seed}.json")
    simulator = python(program, "{theta_0}", file, output=file)
    assert call(simulator, np.array([2.5])) == 2.5
    with pytest.raises(CommandError, match="has written no file"):
        call(simulator, np.array([-1.0]))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"output": "out.json"}, ValueError, r"output must be another file for each row.*'out.js"),
        ({"output": Path("out.json"), "cwd": "/tmp"}, ValueError, "output must be another file"),
        ({"files": ["b.ini"]}, TypeError, r"files must be a dict of names and texts, got \['b"),
        ({"files": {"b.ini": 3}}, TypeError, "files must be a dict of names and texts"),
        ({"parse": ["json"]}, ValueError, "parse must be callable or one of"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(options, error, words):
    with pytest.raises(error, match=words):
        python("pass", "{mass}", **options)


def test_files_may_stand_in_folders_of_their_own():
    look = python(
        "print(open('a/b.ini').read())",
        files={"a/b.ini": "{mass:.1f} {rate:.1f}"},
        cwd="{folder}",
        parse="numbers",
    )
    assert call(look).tolist() == [0.3, 0.0]


def test_no_parameter_is_named_as_the_folder():
    with pytest.raises(ValueError, match="no parameter may have that name"):
        call(python("print(1)", "{folder}"), pd.Series({"folder": 1.0}))


@pytest.mark.parametrize("line", ["1,2,3", "1,2,", "1"])
def test_a_row_has_as_many_fields_as_there_are_names(line):
    """pandas would take the first for an index, or fill in NaN."""
    program = "import sys; print('a,b'); print(sys.argv[1])"
    n = len(line.split(","))
    with pytest.raises(CommandError, match=f"row 1 has {n} fields under 2 names"):
        call(python(program, line, "{mass}{rate}", parse="csv"))
