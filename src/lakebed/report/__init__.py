"""The report of a run: what happened, collected as plain data, and the page made from it.

Collecting (`records`, filled by `pytest_plugin` and `cli`) and rendering (`page`) know nothing of each other
but the data: records go from pytest-xdist's workers to the controller as JSON.
"""
