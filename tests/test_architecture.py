"""The house keeps its shape: imports run one way, and the submission side stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "jobs": {"jobs", "gan", "slurm", "checkpoints"},
    "gan": {"gan", "checkpoints"},
    "slurm": {"slurm"},
    "checkpoints": {"checkpoints"},
}
FILES = [path for package in ALLOWED for path in sorted((ROOT / package).rglob("*.py"))]


def modules_imported(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.append(node.module or "")
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    heads = {name.partition(".")[0] for name in modules_imported(path)}
    assert heads & ALLOWED.keys() <= ALLOWED[package]
    if package == "slurm":
        assert "torch" not in heads


def test_no_circle_between_modules() -> None:
    def name_of(path: Path) -> str:
        return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    known = {name_of(path) for path in FILES}
    graph: dict[str, set[str]] = {}
    for path in FILES:
        used = set()
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named = [f"{node.module}.{alias.name}" for alias in node.names]
                used |= {name if name in known else str(node.module) for name in named}
        graph[name_of(path)] = (used & known) - {name_of(path)}
    while leaves := [name for name, used in graph.items() if not used & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, f"circle among {sorted(graph)}"


@pytest.mark.parametrize("arguments", [["list"], ["status"], ["status", "--json"]])
def test_answers_without_torch(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys; from jobs.cli import main; status = main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules; sys.exit(status)"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["demo", "simclr-digits"])
def test_submission_does_not_load_torch(name: str, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from jobs import pipeline, local, records;"
        f"run = pipeline.prepare('{name}', pipeline.plan('{name}'), Path('runs/run'), 2);"
        "graph = pipeline.stages(run); launcher = local.LocalLauncher(run, Path('runs'));"
        "records.complete(graph[0].run, 'train', [], {});"  # so that the job has nothing to do
        "launcher._submit(graph[0]); assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
