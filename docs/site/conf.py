"""The documentation as a site: `make docs`. Its pages are the Markdown files of the repository, where they stand.

What would go stale is written when the site is built, by reference.py: the commands' options and the settings' keys.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(HERE)]

import ssod  # noqa: E402

project = 'Soft Teacher for MMDetection'
author = 'the maintainers of ssod'
version = release = ssod.__version__
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'reference', 'links']
root_doc = 'docs/index'
include_patterns = [
    'docs/*.md',
    'docs/reference/*.md',
    'configs/*/README.md',
    'projects/*/README.md',
    'benchmarks/README.md',
    'data/README.md',
    'README.md',
]
exclude_patterns = ['docs/_build']
html_theme = 'furo'
html_title = project
html_copy_source = False
pygments_style = 'default'
myst_heading_anchors = 4
myst_enable_extensions = ['colon_fence']
myst_url_schemes = ['http', 'https', 'mailto']
autodoc_typehints = 'description'
autodoc_member_order = 'bysource'
napoleon_use_ivar = True  # the fields of a NamedTuple are documented once
