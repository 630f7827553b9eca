"""Lazy exports of a package: a name is imported when it is first asked for (PEP 562)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(
    package: str, modules: Mapping[str, tuple[str, ...]]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names are imported at first use.

    Args:
        package: its dotted name.
        modules: dotted modules, each with the names that the package exports from it.

    Returns:
        Both functions, to be bound in the package's `__init__`.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def getattr_(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        try:
            return getattr(import_module(homes[name]), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ModuleNotFoundError(
                f"{package}.{name}: expected the package torch, which it computes with: pip install 'facemin[torch]'",
                name="torch",
            ) from error

    def dir_() -> list[str]:
        return sorted(homes)

    return getattr_, dir_
