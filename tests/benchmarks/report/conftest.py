import pytest

from benchmarks.report import Content
from tests.benchmarks.report.synthetic import content


@pytest.fixture(scope="module")
def run() -> Content:
    """A synthetic run with everything that can go wrong in it."""
    return content()


@pytest.fixture(scope="module")
def clean() -> Content:
    """The same, and nothing went wrong."""
    return content(trouble=False)
