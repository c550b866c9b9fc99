from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from string import Template

import pytest
from click.testing import CliRunner

from dibmg_node.cli.main import cli
from dibmg_node.config import Settings, load_settings
from dibmg_node.conformance import standard, statement
from dibmg_node.conformance.markdown import table
from dibmg_node.conformance.statement import conformance_statement
from tests.conformance.extract import extract

ROOT = Path(__file__).parents[2]
SITE = """
[intake]
ae_title = "SITE_CAD"
port = 11999
idle_seconds = 77
[web]
port = 8443
[[sender]]
ae_title = "MG7"
address = "10.7.0.0/16"
[[destination]]
name = "pacs"
address = "pacs.example"
port = 4242
ae_title = "BIGPACS"
results = ["cad-sr", "presentation"]
[[destination]]
name = "vna"
kind = "stow"
url = "https://vna.example/dicom-web"
token_env = "DIBMG_VNA_TOKEN"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("site") / "site.toml"
    path.write_text(SITE)
    return conformance_statement(load_settings(path))


def test_the_committed_statement_is_that_of_the_default_configuration():
    committed = (ROOT / "CONFORMANCE.md").read_text(encoding="utf-8")

    written = conformance_statement(Settings())

    assert written == committed, (
        "CONFORMANCE.md is stale: run dibmg conformance --config config.toml --out CONFORMANCE.md"
    )


def test_module_and_type_of_every_written_attribute_are_those_of_the_standard():
    kept = json.loads(Path(standard.__file__).with_name(standard.FILE).read_text(encoding="utf-8"))

    found = extract()

    assert kept == found, "attribute_types.json is stale: run python -m tests.conformance.extract"


def test_no_written_attribute_is_outside_its_iod():
    assert [
        path for attributes in extract().values() for path, (module, _) in attributes.items() if not module
    ] == []


@pytest.mark.parametrize(
    "row",
    [
        "| INTAKE | `SITE_CAD` | 127.0.0.1, TCP port 11999 |",
        "| WEB |  | 127.0.0.1, TCP port 8443; STOW-RS off |",
        "| Time-out between two messages | 77 s |",
        "| `MG7` | `10.7.0.0/16` |",
        "| `pacs` | C-STORE | `pacs.example:4242` | `BIGPACS` | `cad-sr`, `presentation` |",
        "| `vna` | STOW-RS | `https://vna.example/dicom-web` |",
        "| destination `vna` | TLS 1.2 or newer, certificate verified | bearer token |",
        "| `intake.port` | integer from 1 to 65535 | `11112` | `11999` |",
        "| in | 11999 | DICOM upper layer | INTAKE |",
        "| out | 4242 | DICOM upper layer | DELIVERY and FETCH, destination `pacs` |",
    ],
)
def test_the_statement_of_a_site_has_its_own(site: str, row: str):
    assert row in site


def test_the_chapters_are_those_of_annex_n():
    titles = re.findall(r"^## (.+)$", conformance_statement(Settings()), re.MULTILINE)

    assert titles == [
        "1 Overview",
        "2 Table of contents",
        "3 Introduction",
        "4 Implementation model",
        "5 Service and interoperability description",
        "6 Configuration",
        "7 Network and media communication details",
        "8 Security",
        "A.A Information object definitions",
        "A.B Structured report content",
        "A.C Security details",
        "A.D Mapping of attributes",
        "A.E Code set usage",
    ]


def test_every_chapter_is_in_the_statement():
    chapters = files(statement.__package__).joinpath("chapters").iterdir()
    written = conformance_statement(Settings())

    lines = [
        (chapter.name, line)
        for chapter in chapters
        for line in chapter.read_text(encoding="utf-8").splitlines()
        if line and not Template(line).get_identifiers()
    ]

    assert [place for place, line in lines if line not in written] == []


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    cells = {}
    for line in conformance_statement(Settings()).splitlines():
        if not line.startswith("|"):
            cells = {}
            continue
        cells.setdefault("head", len(re.findall(r"(?<!\\)\|", line)))

        assert len(re.findall(r"(?<!\\)\|", line)) == cells["head"], line


def test_a_bar_in_a_cell_does_not_end_it():
    assert table(("a",), [("x | y",)]).splitlines()[-1] == r"| x \| y |"


def test_a_row_that_is_too_short_is_an_error():
    with pytest.raises(ValueError, match="1 cells in a table of 2 columns"):
        table(("a", "b"), [("x",)])


def test_the_command_writes_the_statement_to_a_file(tmp_path: Path):
    config, out = tmp_path / "site.toml", tmp_path / "statement.md"
    config.write_text(SITE)

    result = CliRunner().invoke(cli, ["conformance", "--config", str(config), "--out", str(out)])

    assert result.exit_code == 0
    assert "`SITE_CAD`" in out.read_text(encoding="utf-8")


def test_the_command_says_what_keeps_it_from_writing(tmp_path: Path):
    out = tmp_path / "missing" / "statement.md"

    result = CliRunner().invoke(cli, ["conformance", "--out", str(out)])

    assert result.exit_code == 1
    assert "No such file or directory" in result.output
