"""Links of the Markdown pages to files and folders of the repository that are no pages.

On a code host they open the file or folder. Here a folder's link goes to its README, if that is a page; of other links
the text stays.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

LINK = re.compile(r'(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)')


def setup(app: Sphinx) -> dict:
    """Called by Sphinx."""
    app.connect('source-read', rewrite)
    return dict(parallel_read_safe=True, parallel_write_safe=True)


def rewrite(app: Sphinx, page: str, source: list[str]) -> None:
    """Rewrite the links of a page's text, in place."""
    root = Path(app.srcdir)
    folder = (root / page).parent

    def target(match: re.Match) -> str:
        text, link, anchor = match[1], match[2], match[3] or ''
        path = (folder / link).resolve()
        if not path.exists():
            return match[0]  # Sphinx says so
        if path.is_dir():
            path, link = path / 'README.md', link.rstrip('/') + '/README.md'
        if path.is_relative_to(root) and str(path.relative_to(root).with_suffix('')) in app.env.found_docs:
            return f'[{text}]({link}{anchor})'
        return text

    source[0] = LINK.sub(target, source[0])
