"""Environments with some of this one's packages and no others, as a fresh install has them, without downloads."""

import importlib.metadata
import sysconfig
import venv
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def distributions(requirements):
    """{name: distribution} of what pip would install for these requirements (texts), as it is installed here."""
    pending, found, seen = [Requirement(text) for text in requirements], {}, set()
    while pending:
        wanted = pending.pop()
        name = canonicalize_name(wanted.name)
        if (name, extras := frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, extras))
        found[name] = importlib.metadata.distribution(wanted.name)
        assert wanted.specifier.contains(found[name].version, prereleases=True), f"{wanted}: {found[name].version}"
        needed = [Requirement(text) for text in found[name].requires or ()]
        pending += [one for one in needed if applies(one, extras)]
    return found


def applies(requirement, extras=()):
    """Whether pip heeds a requirement of a package that is asked for with these extras."""
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def environment(folder, requirements):
    """Make an environment with ``distributions(requirements)`` alone; the path of its Python."""
    venv.create(folder, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    for distribution in distributions(requirements).values():
        for name in {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(distribution.locate_file(name))
    return folder / "bin/python"
