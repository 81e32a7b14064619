"""A program as a simulator: one run of it for each row of theta."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from sksbi.exceptions import CommandError
from sksbi.simulation._parsers import PARSERS
from sksbi.utils.types import Array
from sksbi.utils.validation import check_real

__all__ = ["CommandSimulator"]

_END = 2000  # characters of what a program says at its end
_SEEDS = 2**31  # what fits the seeds of most programs


class CommandSimulator:
    """
    Run a program for each row of theta.

    For :func:`sksbi.simulate` and :class:`sksbi.SequentialInference`. There is no shell, so values
    need no quotes; a run that fails is a failure of its row.

    Parameters
    ----------
    command : str or sequence of str
        The program and its arguments, with parameters in braces, as in
        ``"./sim --mass {mass} --seed {seed}"``: names are theta's columns, or ``theta_0``,
        ``theta_1`` and so on if it has none. Numbers are written with all their digits unless a
        format follows, as in ``{mass:.3f}``; ``{seed}`` is an integer below 2**31 that is drawn for
        the row, ``{folder}`` an empty folder of the row, which is removed after the run. Other
        braces stand as they are. A str is cut into arguments as a shell would.
    parse : {"json", "csv", "numbers"} or callable, default="json"
        How results are read. "json": a number, a list, or an object of numbers and texts, in which
        a list ``"counts": [3, 5]`` becomes ``counts_0`` and ``counts_1``. "csv": a table under a
        line of names; one row gives named values, more give an array of shape (rows, columns).
        "numbers": numbers between spaces, commas or lines. A callable is given the text, or the
        Path of ``output``, and gives what a simulator gives.
    output : str, Path or None, default=None
        The file that the program writes, as in ``"{folder}/out.json"``; None takes what it prints.
        It must be another for each row, or rows that run at the same time would read each other's:
        have ``{folder}`` in it or in ``cwd``, or ``{seed}``. One that is there before is removed.
    files : dict or None, default=None
        Files that the program reads, ``{name: text}``: they are written into ``{folder}`` before
        each run, with values in place of braces as in ``command``.
    timeout : float or None, default=None
        Seconds after which a run is stopped, with all processes that it started.
    cwd : str, Path or None, default=None
        Where the program runs, as in ``"{folder}"``; None takes the present folder.
    env : dict or None, default=None
        Environment variables, beside those that are set.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; and in a call, if a parameter has no place.
    CommandError
        If a run fails: it cannot start, its exit status is not 0, its time is over, or its results
        cannot be read. The message has the command, the exit status and the end of what it said.

    Examples
    --------
    >>> import sys
    >>> from scipy import stats
    >>> from sksbi import simulate
    >>> from sksbi.simulation import CommandSimulator
    >>> program = "import sys; print(2 * float(sys.argv[1]))"
    >>> simulator = CommandSimulator([sys.executable, "-c", program, "{mass}"], parse="numbers")
    >>> theta, x = simulate(simulator, {"mass": stats.uniform(1, 2)}, 3, random_state=0)
    >>> bool((x == 2 * theta["mass"]).all())
    True
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        parse: str | Callable[[Any], Any] = "json",
        output: str | Path | None = None,
        files: Mapping[str, str] | None = None,
        timeout: float | None = None,
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.command = command
        self.parse = parse
        self.output = output
        self.files = files
        self.timeout = timeout
        self.cwd = cwd
        self.env = env
        self._arguments = _arguments(command)
        if not callable(parse) and not (isinstance(parse, str) and parse in PARSERS):
            raise ValueError(f"parse must be callable or one of {[*PARSERS]}, got {parse!r}.")
        if timeout is not None:
            check_real(timeout, "timeout")
        self._places = [*self._arguments, str(output or ""), str(cwd or ""), *_texts(files)]
        if output is not None and not any(
            _stands_in(name, [str(output), str(cwd or "")]) for name in ("folder", "seed")
        ):
            raise ValueError(
                "output must be another file for each row, as in '{folder}/out.json', or with "
                f"cwd='{{folder}}', got {str(output)!r}: rows would read each other's results."
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.command!r})"

    def __call__(self, theta: pd.Series | Array, rng: np.random.Generator) -> Any:
        """
        Run the program once.

        Parameters
        ----------
        theta : Series or ndarray of shape (D,)
            The parameters.
        rng : numpy.random.Generator
            Where ``{seed}`` comes from.

        Returns
        -------
        float, ndarray or dict
            The results.
        """
        values = self._values(theta, int(rng.integers(_SEEDS)))
        with ExitStack() as stack:
            if self.files or _stands_in("folder", self._places):
                folder = tempfile.TemporaryDirectory(prefix="sksbi-", ignore_cleanup_errors=True)
                values["folder"] = stack.enter_context(folder)
            for name, text in (self.files or {}).items():
                path = Path(values["folder"], name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_fill(text, values), encoding="utf-8")
            arguments = [_fill(argument, values) for argument in self._arguments]
            written = self._written(values)
            if written is not None:
                written.unlink(missing_ok=True)  # one of an earlier run would count as this one's
            printed = self._run(arguments, values)
            return self._read(arguments, printed if written is None else written)

    def _written(self, values: dict[str, Any]) -> Path | None:
        """Tell which file the program is to write."""
        if self.output is None:
            return None
        return Path(_fill(str(self.cwd or ""), values), _fill(str(self.output), values))

    def _values(self, theta: pd.Series | Array, seed: int) -> dict[str, Any]:
        """List what is put in place of names."""
        named = theta.items() if isinstance(theta, pd.Series) else enumerate(theta)
        is_named = isinstance(theta, pd.Series)
        values = {str(k) if is_named else f"theta_{k}": _Number(value) for k, value in named}
        if unused := [name for name in values if not _stands_in(name, self._places)]:
            raise ValueError(
                f"command must have a place for every parameter, got {self.command!r} without "
                f"{{{unused[0]}}}."
            )
        if "folder" in values:
            raise ValueError(
                "command has the row's own folder in place of {folder}, so no parameter may have "
                "that name: rename it."
            )
        return {"seed": seed} | values

    def _run(self, arguments: list[str], values: dict[str, Any]) -> str:
        """Run the program, and give what it has printed."""
        # Files, not pipes: a process that it leaves behind would hold a pipe open.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            try:
                process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    cwd=None if self.cwd is None else _fill(str(self.cwd), values),
                    env=None if self.env is None else os.environ | dict(self.env),
                    start_new_session=True,
                )
            except OSError as error:
                raise CommandError(f"{_shown(arguments)} cannot start: {error}") from error
            try:
                status = process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                told = f"took longer than {self.timeout} s and was stopped"
                raise CommandError(f"{_shown(arguments)} {told}{_end(err)}") from None
            finally:
                if process.poll() is None:  # its time is over, or Ctrl-C
                    _stop(process)
            if status != 0:
                raise CommandError(f"{_shown(arguments)} {_ended(status)}{_end(err)}")
            out.seek(0)
            return out.read().decode("utf-8", errors="replace")

    def _read(self, arguments: list[str], what: str | Path) -> Any:
        """Read results from what was printed, or from a file."""
        if isinstance(what, Path) and not what.exists():
            raise CommandError(f"{_shown(arguments)} has written no file {what}.")
        try:
            if callable(self.parse):
                return self.parse(what)
            what = what.read_text(encoding="utf-8") if isinstance(what, Path) else what
            return PARSERS[self.parse](what)
        except Exception as error:
            begins = f"; they begin with {what[:200]!r}" if isinstance(what, str) else ""
            raise CommandError(
                f"{_shown(arguments)} has given results that cannot be read by parse="
                f"{self.parse!r}: {type(error).__name__}: {error}{begins}"
            ) from error


class _Number(float):
    """A parameter, written with all its digits unless a format is given."""

    def __format__(self, form: str) -> str:
        return format(float(self), form) if form else repr(float(self))


def _arguments(command: str | Sequence[str]) -> list[str]:
    """Cut a command into arguments."""
    if isinstance(command, str):
        try:
            arguments = shlex.split(command)
        except ValueError as error:
            raise ValueError(
                f"command cannot be cut into arguments, {error}: {command!r}"
            ) from None
    elif isinstance(command, Sequence) and all(isinstance(one, str | Path) for one in command):
        arguments = [str(one) for one in command]
    else:
        raise TypeError(f"command must be a str or a sequence of str, got {command!r}.")
    if not arguments:
        raise ValueError(f"command must name a program, got {command!r}.")
    return arguments


def _texts(files: Mapping[str, str] | None) -> list[str]:
    """Check files, and list what is written into them."""
    if files is None:
        return []
    is_text = isinstance(files, Mapping) and all(
        isinstance(part, str) for item in files.items() for part in item
    )
    if not is_text:
        raise TypeError(f"files must be a dict of names and texts, got {files!r}.")
    return [*files.values()]


def _stands_in(name: str, texts: list[str]) -> bool:
    """Tell whether a name in braces stands in one of the texts."""
    return any(re.search(rf"\{{{re.escape(name)}(:[^{{}}]*)?\}}", text) for text in texts)


def _fill(text: str, values: dict[str, Any]) -> str:
    """Put values in place of names; other braces stand as they are."""
    names = "|".join(re.escape(name) for name in sorted(values, key=len, reverse=True))

    def value(found: re.Match[str]) -> str:
        return format(values[found[1]], found[2] or "")

    return re.sub(rf"\{{({names})(?::([^{{}}]*))?\}}", value, text)


def _shown(arguments: list[str]) -> str:
    """Write a command as one would type it."""
    line = shlex.join(arguments)
    return f"The command {line if len(line) <= _END else line[:_END] + '...'}"


def _ended(status: int) -> str:
    """Put an exit status into words."""
    if status > 0:
        return f"ended with exit status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


def _end(file: IO[bytes]) -> str:
    """Quote the end of what a program said on its standard error."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END))
    text = file.read().decode("utf-8", errors="replace").strip()
    return f". It said:\n{text}" if text else ". It said nothing on its standard error."


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and all that it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
