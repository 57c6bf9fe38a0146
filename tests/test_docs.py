"""The documentation: its code runs as printed, its links and run files exist.

Each page is executed as a reader would: a fresh interpreter, all blocks in order, in an empty folder. Warnings are
errors there, too; a page that means to warn catches the warning and shows it.
"""

import ast
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from husimix.apps.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# Peers that the tests do not need. A block that imports one is left out where it is not installed.
PEERS = {"dynamiqs", "netket"}
SLOW = {
    "README",
    "docs/choosing",
    "docs/coming_from",
    "docs/conventions",
    "docs/extending",
    "docs/first_run",
    "docs/index",
    "docs/installation",
    "docs/sharp_bits",
    "docs/steady",
    "docs/trust",
}

_FENCE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})(?P<info>[^\n]*)\n(?P<body>.*?)^(?P=fence)[ \t]*$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_DIRECTIVE = re.compile(r"^\{(?:include|image|literalinclude)\}\s*(?P<target>\S+)$")


def name_of(page):
    return page.relative_to(ROOT).with_suffix("").as_posix()


def fences(page):
    """(line, info, body) of every fenced block, the line that of its body, counted from 0."""
    text = page.read_text("utf-8")
    return [(text.count("\n", 0, m.start("body")), m["info"].strip(), m["body"]) for m in _FENCE.finditer(text)]


def is_code(info):
    return info == "python" or info.startswith("{code-cell}")


def imported(code):
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = [n.module if isinstance(n, ast.ImportFrom) else alias.name for n in nodes for alias in n.names]
    return {module.partition(".")[0] for module in modules if module}


def program(page):
    """The blocks of a page in one program, each on the lines that it has on the page."""
    lines = []
    for start, info, body in fences(page):
        if not is_code(info):
            continue
        code = "".join("\n" if line.startswith((":tags:", "---")) else line for line in body.splitlines(keepends=True))
        if any(importlib.util.find_spec(peer) is None for peer in PEERS & imported(code)):
            continue
        lines += [""] * (start - len(lines)) + code.splitlines()
    return "\n".join(lines) + "\n"


def anchors(page):
    """The anchors of the headings of a page and of what it includes, as GitHub and Sphinx make them."""
    prose = _FENCE.sub("", page.read_text("utf-8"))
    titles = re.findall(r"^#+\s+(.+)$", prose, re.MULTILINE)
    included = (m["target"] for _, info, _ in fences(page) if (m := re.match(r"\{include\}\s*(?P<target>\S+)$", info)))
    found = (anchors(page.parent / target) for target in included)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}.union(*found)


WITH_CODE = [page for page in PAGES if any(is_code(info) for _, info, _ in fences(page))]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[pytest.mark.slow] if name_of(p) in SLOW else [], id=name_of(p)) for p in WITH_CODE],
)
def test_code_runs_as_printed(page, tmp_path):
    script = tmp_path / f"{page.stem}.py"
    script.write_text(program(page), "utf-8")
    folder = tmp_path / "empty"
    folder.mkdir()
    environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "error"}
    command = [sys.executable, str(script)]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{page.name}, lines as on the page:\n{ended.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    targets = [m["target"] for m in _LINK.finditer(_FENCE.sub("", page.read_text("utf-8")))]
    targets += [m["target"] for _, info, _ in fences(page) if (m := _DIRECTIVE.match(info))]
    for target in targets:
        if re.match(r"[a-z]+://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_relative_to(ROOT) and file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


def test_the_table_of_contents_is_whole():
    (body,) = (body for _, info, body in fences(ROOT / "docs" / "index.md") if info.startswith("{toctree}"))
    listed = [line for line in body.split() if not line.startswith(":") and not line.isdigit()]
    assert sorted([*listed, "index"]) == sorted(page.stem for page in PAGES if page.parent.name == "docs")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist_and_name_run_files_that_exist(page):
    known = get_command(app).commands
    for _, info, body in fences(page):
        if info not in ("", "bash", "sh", "shell"):
            continue
        for line in body.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] != ["husimix"] or words[1].startswith("-"):
                continue
            assert words[1] in known, line
            options = {o for p in known[words[1]].params for o in p.opts}
            for word in words[2:]:
                assert not word.startswith("-") or word.partition("=")[0] in options, line
                assert not word.endswith(".toml") or (ROOT / word).exists(), line


def test_the_table_of_the_readme_is_from_the_benchmarks():
    measured = "\n".join(page.read_text("utf-8") for page in (ROOT / "benchmarks" / "results").glob("*.md"))
    rows = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 3
    for row in rows:
        assert row in measured, row
