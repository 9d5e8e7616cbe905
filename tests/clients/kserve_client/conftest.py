"""A server on a free port for the duration of the tests."""

import pytest
from served import serve


@pytest.fixture(scope="session")
def url():
    with serve() as url:
        yield url
