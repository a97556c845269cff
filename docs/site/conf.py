"""How Sphinx builds the site (`make docs`). It reads the repository, so that links are as in the files."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from navigation import HOME, pages

from lakebed import __version__

project = "lakebed"
author = "the authors of lakebed"
release = version = __version__
html_title = f"lakebed {__version__}"
# No copyright year and no date of the build: the same commit gives the same site.
html_show_copyright = False
html_last_updated_fmt = None

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "site_extension"]
root_doc = HOME
include_patterns = [f"{page}.md" for page in pages()]
exclude_patterns = ["build", ".*", "**/__pycache__", "src", "tests", "bench", "tools", "requirements"]

# -- pages ---------------------------------------------------------------------------------------------
# Headings get the anchors that code hosts give them.
myst_heading_anchors = 4
myst_enable_extensions = ["strikethrough"]
# Every link and every name of ours has to lead somewhere; `site_extension` says which names are ours.
nitpicky = True
nitpick_ignore = [
    # A folder, which a code host shows.
    ("myst", "examples/shop"),
    # Types that a user is handed or hands on, and neither makes nor looks into.
    ("py:class", "lakebed.compose.definitions.Definition"),
    ("py:class", "lakebed.config.checks.Choice"),
    ("py:class", "lakebed.provision.progress.Progress"),
    ("py:class", "lakebed.stack.folders.StackFolder"),
    ("py:class", "lakebed.stack.ledger.Entry"),
]
# Private names, and type variables.
nitpick_ignore_regex = [("py:class", r"lakebed\.(\w+\.)*(_\w+|[A-Z])")]

# -- reference -----------------------------------------------------------------------------------------
# In docstrings `single backticks` are code, and a link where they name something in the reference.
default_role = "code_or_name"
add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
autodoc_class_signature = "mixed"
napoleon_numpy_docstring = False
napoleon_use_ivar = True

# -- look: nothing is loaded from elsewhere ------------------------------------------------------------
html_theme = "furo"
templates_path = ["templates"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "to_home.html"}
html_copy_source = False
html_show_sphinx = False
pygments_style = "friendly"
pygments_dark_style = "github-dark"
