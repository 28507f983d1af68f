"""The generated pages are those of the code as it is."""

from pathlib import Path

import pytest

from llmroute_cli.reference import pages

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_up_to_date(name):
    assert pages()[name] == (FOLDER / name).read_text("utf-8"), "run `make docs`"
