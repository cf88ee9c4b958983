"""What the documents tell to type exists: commands, options, linked files."""

import re
from pathlib import Path

import pytest
from running import run_main

from kws_tf.cli.main import commands

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").glob("*.md"),
    ROOT / "benchmarks" / "README.md",
    ROOT / "tflite_models" / "README.md",
]
BY_NAME = re.compile(r"kws-tf ([a-z][a-z-]*)")
BY_FILE = re.compile(r"(?<![\w/])((?:scripts|benchmarks|experiments)/[a-z_]+\.py)")
OPTION = re.compile(r"(?<!\S)(--?[a-z][a-z-]*)")


def code(text: str) -> list[str]:
    """The lines of code blocks, continued ones joined, and what stands in backticks."""
    _, *blocks = re.split(r"^```.*$", text.replace("\\\n", " "), flags=re.M)
    lines = [line for block in blocks[::2] for line in block.splitlines()]
    prose = "".join(re.split(r"^```.*?^```$", text, flags=re.M | re.S))
    return lines + [span.replace("\n", " ") for span in re.findall(r"`([^`]+)`", prose)]


def told(page: Path) -> list[tuple[str, set[str]]]:
    """The commands of a page as Python files, each with the options that it is given."""
    found = []
    for line in code(page.read_text(encoding="utf-8")):
        for part in re.split(r"&&|[;#|]", line):
            for pattern in (BY_NAME, BY_FILE):
                if match := pattern.search(part):
                    name = match[1]
                    if pattern is BY_NAME:
                        name = f"scripts/{commands().get(name, name)}.py"
                    found.append((name, set(OPTION.findall(part[match.end() :]))))
    return found


@pytest.fixture(scope="module")
def helps():
    """The options of a Python file, remembered."""
    return {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_options_exist(page, helps, capsys):
    for name, options in told(page):
        if name not in helps:
            assert run_main(ROOT / name, "--help") == 0
            helps[name] = set(OPTION.findall(re.sub(r"[\[\],|=]", " ", capsys.readouterr().out)))
        assert options <= helps[name], (name, options - helps[name])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        assert ":" in target or (page.parent / target).exists(), target


def test_readers_of_commands():
    page = ROOT / "CONTRIBUTING.md"
    name = "scripts/evaluate.py"
    assert (name, {"--test-dir", "-o"}) in told(page)
    assert "experiments/run.py" in {name for name, _ in told(page)}
