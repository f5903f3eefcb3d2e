"""`edgekit android`: a Gradle library module that runs a bundle's file exactly as its contract says."""

import keyword
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgekit.android.golden_files import image_files, module_files
from edgekit.android.marks import contract_marks, described, output_marks
from edgekit.android.template import Marks, has_templates, render
from edgekit.bundle.files import Bundle, sha256
from edgekit.bundle.layout import CONTRACT, LABELS, MANIFEST
from edgekit.bundle.replace import replace_folder
from edgekit.bundle.write import as_json
from edgekit.errors import EdgekitError, did_you_mean
from edgekit.target import targets

Language = Literal["kotlin", "java"]
PACKAGE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
COMPILE_SDK = 35
MODULE_FORMAT = 1
SOURCES: dict[Language, tuple[str, ...]] = {
    "kotlin": ("Contract", "Preprocessor", "Outputs", "Model"),
    "java": ("Contract", "InputContract", "OutputContract", "TensorType", "Preprocessor", "Outputs", "Model"),
}
FOR_CLASSES: dict[Language, tuple[str, ...]] = {
    "kotlin": ("Scores", "Classifier"),
    "java": ("Result", "Scores", "Classifier"),
}
"""Sources that only a module of a model with classes has."""
SUFFIX: dict[Language, str] = {"kotlin": "kt", "java": "java"}
CPP_SOURCES = ("preprocessor.h", "contract.h", "golden_test.cpp", "CMakeLists.txt")
RESERVED = {"class", "default", "interface", "new", "package", "switch", "this", "void", "fun", "object", "val", "when"}


@dataclass(frozen=True, slots=True)
class Module:
    """What to write.

    Args:
        package: of the classes, and the module's namespace; made from the model's name where None.
        library: name of the runtime's Maven package, where the bundle's manifest has several; None takes the first.
        cpp: the preprocessing as C++ headers too, with a test, in cpp/.
    """

    bundle: Bundle
    language: Language = "kotlin"
    package: str | None = None
    library: str | None = None
    cpp: bool = False

    @property
    def name(self) -> str:
        return identifier(self.bundle.manifest["model"])


def write_module(module: Module, out: Path) -> list[str]:
    """Write the module into `out`, in place of an older one; returns the files' paths in it.

    Raises:
        EdgekitError: EK302 for a file that an app cannot run this way, EK106 for an impossible package name, EK101 for
            an unknown library, EK702 when it cannot be written or something else than a module is there.
    """
    files = dict(module_contents(module))
    replace_folder(out, {**files, MANIFEST: module_manifest(module, files)}, "android module")
    return sorted([*files, MANIFEST])


def module_manifest(module: Module, files: dict[str, bytes]) -> bytes:
    """What edgekit wrote into the module: the next run replaces these files and keeps all others."""
    return as_json(
        {
            "format": MODULE_FORMAT,
            "kind": "android module",
            "model": module.bundle.manifest["model"],
            "target": module.bundle.target,
            "files": {name: {"sha256": sha256(data), "size_bytes": len(data)} for name, data in files.items()},
        }
    )


def module_contents(module: Module) -> Iterator[tuple[str, bytes]]:
    """(path in the module, bytes) of every file."""
    bundle = module.bundle
    library = chosen_library(bundle, module.library)
    package = module.package or f"edgekit.{module.name}"
    check_package(package)
    check_classes(module.language, library["runtime"])
    marks = {**contract_marks(bundle, module.name), **module_marks(module, library, package)}
    outputs = output_marks(bundle)
    for path, template in templates(module, library["runtime"], f"{module.language}/{package.replace('.', '/')}"):
        yield path, render(template, marks, outputs).encode()
    yield "README.md", readme(module, marks, outputs).encode()
    for name in (bundle.model_file.name, CONTRACT, *([LABELS] if bundle.labels else [])):
        yield f"src/main/assets/{module.name}/{name}", (bundle.path / name).read_bytes()
    for name, data in module_files(bundle):
        yield f"src/androidTest/assets/golden/{name}", data
    if module.cpp:
        for name, data in image_files(bundle):
            yield f"cpp/golden/{name}", data


def templates(module: Module, runtime: str, folder: str) -> Iterator[tuple[str, str]]:
    """(path in the module, template) of every text file but the README. `folder` is that of the package's sources."""
    language = module.language
    suffix = SUFFIX[language]
    classes = FOR_CLASSES[language] if module.bundle.scores else ()
    for name in (*SOURCES[language], *classes):
        yield f"src/main/{folder}/{name}.{suffix}", f"{language}/{name}.{suffix}"
    yield f"src/main/{folder}/ModelRunner.{suffix}", f"{language}/{runtime}/ModelRunner.{suffix}"
    yield f"src/androidTest/{folder}/GoldenTest.{suffix}", f"{language}/GoldenTest.{suffix}"
    yield "src/main/AndroidManifest.xml", "gradle/AndroidManifest.xml"
    yield "build.gradle.kts", f"gradle/build.{language}.gradle.kts"
    yield "consumer-rules.pro", f"gradle/{runtime}.pro"
    for name in CPP_SOURCES if module.cpp else ():
        yield f"cpp/{name}", f"cpp/{name}"


def readme(module: Module, marks: Marks, outputs: Sequence[Marks]) -> str:
    """How an app calls the module, and what it holds."""
    call = "classifier" if module.bundle.scores else "model"
    parts = {"CALL": f"gradle/{call}.{module.language}", "FACTS": "gradle/facts.md"}
    written = {mark: render(template, marks, outputs).rstrip() for mark, template in parts.items()}
    return render(f"gradle/README.{module.language}.md", {**marks, **written})


def module_marks(module: Module, library: dict[str, Any], package: str) -> dict[str, str]:
    """What the build files and the README say."""
    bundle = module.bundle
    file = bundle.manifest["files"][bundle.model_file.name]
    return {
        "PACKAGE": package,
        "MODULE": module.name,
        "MODEL_NAME": " ".join(bundle.manifest["model"].split()),
        "TARGET": bundle.target,
        "LIBRARY": library["coordinate"],
        "RUNTIME": targets.get(bundle.target).runtime.title,
        "MIN_SDK": str(library["min_sdk"]),
        "COMPILE_SDK": str(COMPILE_SDK),
        "ABIS": ", ".join(f'"{abi}"' for abi in library["abis"]),
        "ABI_LIST": ", ".join(library["abis"]),
        "PAGE_KB": str(library["page_size"] // 1024),
        "SIZE": f"{file['size_bytes'] / 1e6:.2f} MB",
        "SHA256": file["sha256"],
        "INPUT": described(bundle.input),
    }


def chosen_library(bundle: Bundle, name: str | None) -> dict[str, Any]:
    """The runtime's record in the manifest, and that it is new enough for the file."""
    known: list[dict[str, Any]] = bundle.manifest.get("android") or []
    if not known:
        raise EdgekitError(
            "EK302",
            what=f"its manifest names no Android library that runs files of {bundle.target}",
            where=str(bundle.path),
            fix="choose another target, or export it again where it is of an older edgekit",
        )
    names = [library["name"] for library in known]
    if name is not None and name not in names:
        fix = did_you_mean(name, names, f"choose one of: {', '.join(names)}")
        raise EdgekitError("EK101", what=f"unknown library {name!r}", where="--library", fix=fix)
    library = known[0] if name is None else known[names.index(name)]
    needed = str(bundle.manifest["min_runtime"])
    if needed and version(library["loads"]) < version(needed):
        raise EdgekitError(
            "EK302",
            what=f"{library['coordinate']} is too old: the file needs a runtime of {needed}",
            where="--library",
            fix=f"leave --library out: {known[0]['coordinate']}",
        )
    return library


def check_classes(language: Language, runtime: str) -> None:
    """EK302 where the app's classes cannot call a library."""
    if not has_templates(f"{language}/{runtime}"):
        raise EdgekitError(
            "EK302",
            what=f"no {language.capitalize()} class of edgekit calls {runtime}",
            where="--library",
            fix="choose another target, or write the class: the contract says what it is fed",
        )


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def check_package(package: str) -> None:
    parts = package.split(".")
    if not PACKAGE.fullmatch(package) or any(part in RESERVED or keyword.iskeyword(part) for part in parts):
        raise EdgekitError(
            "EK106",
            what=f"{package!r} is no package name",
            where="--package",
            fix="two or more lower-case words with dots between, for example com.example.model",
        )


def identifier(name: str) -> str:
    """`timm:mobilenetv3_small_100` -> mobilenetv3_small_100; a name that Gradle and Java both take."""
    plain = re.sub(r"[^a-z0-9_]+", "_", name.rpartition(":")[2].lower()).strip("_")
    return plain if plain[:1].isalpha() else f"model_{plain}".rstrip("_")
