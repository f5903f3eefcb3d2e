"""Every case, gathered from the family modules."""

import importlib
import pkgutil
from pathlib import Path

from tflite_conformance.case import Case


def all_cases() -> tuple[Case, ...]:
    """The cases of every `cases_<family>` module beside this one."""
    names = sorted(m.name for m in pkgutil.iter_modules([str(Path(__file__).parent)]) if m.name.startswith("cases_"))
    found = [case for name in names for case in importlib.import_module(f"tflite_conformance.{name}").CASES]
    return tuple(found)
