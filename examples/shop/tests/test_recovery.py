"""A server dies in the middle of business: nothing is lost, and nothing is there twice."""

from __future__ import annotations

import pytest
from shop import Shop

from lakebed.cdc.comparison import assert_same_rows
from lakebed.clients.connector import Connector
from lakebed.pytest_plugin.crash import Crash
from lakebed.pytest_plugin.events import ChangeEvents
from lakebed.pytest_plugin.pipelines import CdcPipelines
from lakebed.pytest_plugin.rows import TableRows

SERVERS = pytest.mark.parametrize("server", ["connect", "kafka", "postgres"])
