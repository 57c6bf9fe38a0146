"""Files of results: NetCDF, written whole or not at all."""

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from husimix._errors import argument_error

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FORMAT", "AbstractSavable", "check_writable", "read", "write"]

_SUFFIXES = (".nc", ".nc4", ".h5", ".hdf5")

FORMAT = 2
"""Of the files, in their attribute `husimix_format`."""


class AbstractSavable(ABC):
    """What can be saved to a file and loaded again."""

    @abstractmethod
    def to_groups(self) -> "dict[str, xr.Dataset]":
        """The groups of the file that `save` writes, "/" first; `husimix.load` knows them."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write all there is to a NetCDF file, whole or not at all; `husimix.load` reads it.

        Args:
            path: where to; an existing file is replaced only when the new one is complete.

        Returns:
            The path.

        Raises:
            ValueError: for a path that cannot be written, or that ends otherwise than NetCDF files do.
            OSError: if writing fails.
        """
        return write(self.to_groups(), check_writable("path", path, _SUFFIXES))


def check_writable(name: str, path: str | os.PathLike[str], suffixes: Sequence[str]) -> Path:
    """Refuse, before any work is done, a path that could not be written after it.

    Args:
        name: what to call the path in errors.
        path: the file to be written.
        suffixes: the endings that it may have.

    Returns:
        The path.

    Raises:
        ValueError: for another ending, a directory, or a directory above that is missing or cannot be written.
    """
    target = Path(path)
    if target.suffix not in suffixes:
        fix = f"Try {target.with_suffix(suffixes[0])}." if target.name else ""
        raise argument_error(name, f"end in {' or '.join(suffixes)}", target, fix)
    if os.path.isdir(target):  # `Path.is_dir` raises for names that are too long
        raise argument_error(name, "name a file", f"the directory {target}")
    if not target.parent.is_dir():
        raise argument_error(name, "lie in an existing directory", target, f"Try `mkdir -p {target.parent}`.")
    try:
        # Only writing tells for sure: permissions, read-only file systems and names that are too long.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}."):
            pass
    except OSError as error:
        raise argument_error(name, "name a file that can be written", f"{target} ({error.strerror})") from None
    return target


def write(groups: "Mapping[str, xr.Dataset]", path: Path) -> Path:
    """Write the groups of a file, "/" first, beside its place, then move it there: a failure leaves no half of it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        for number, (name, data) in enumerate(groups.items()):
            data.to_netcdf(temporary, engine="h5netcdf", group=name, mode="a" if number else "w")
        # mkstemp makes files for the owner alone; a result has the permissions of any other new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def read(path: Path) -> "dict[str, xr.Dataset]":
    """The groups of a file that `write` wrote. Raises ValueError, naming the path, for anything else."""
    import xarray as xr

    if not path.is_file():
        raise argument_error("path", "name an existing file", path)
    if path.suffix == ".toml":
        fix = f"Carry it out: husimix run {path} -o run.nc"
        raise argument_error("path", "name a result", f"the run file {path}", fix)
    try:
        groups = xr.open_groups(path, engine="h5netcdf")
        for name, data in groups.items():
            with data:
                groups[name] = data.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        fix = "The file is cut off or is no NetCDF file; run again or restore a copy."
        raise argument_error("path", "name a readable NetCDF file", path, fix) from error
    attrs = groups["/"].attrs
    if "husimix_format" not in attrs:
        raise argument_error("path", "name a result of husimix", path, "It is a NetCDF file of something else.")
    if attrs["husimix_format"] != FORMAT:
        found = f"format {attrs['husimix_format']} in {path}"
        raise argument_error("path", f"name a result in format {FORMAT}", found, "Upgrade husimix.")
    return groups
