"""The page on what works is what the tests say."""

from __future__ import annotations

from pathlib import Path

import pytest

from .claude.formats import FORMATS
from .claude.test_any_model import CHECKS
from .claude.what_works import FEATURES, PAGE, page

ROOT = Path(__file__).parent.parent


def test_the_page_is_up_to_date() -> None:
    assert page() == (ROOT / "docs/reference" / PAGE).read_text("utf-8")


def test_each_feature_is_checked() -> None:
    assert [*FEATURES] == [*CHECKS]


@pytest.mark.parametrize("spoken", FORMATS, ids=lambda spoken: spoken.name)
def test_what_is_lost_is_a_feature(spoken) -> None:
    assert set() == spoken.lost.keys() - FEATURES.keys()
