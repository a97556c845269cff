"""Measurements of lakebed on the machine at hand: `python -m bench`, or `make bench`."""
