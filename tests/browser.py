"""A page in a real Chromium, without a network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def opened(path: Path, **settings: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page of playwright that shows a file, and what it has said and asked for; skips where there is no Chromium."""
    api = pytest.importorskip('playwright.sync_api', exc_type=ImportError)
    chromium = shutil.which('chromium')
    if chromium is None:
        pytest.skip('needs a Chromium')
    troubles: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=['--no-sandbox'])
        page = browser.new_page(viewport=dict(width=1280, height=900), **settings)
        page.on('console', lambda message: troubles.append(message.text) if message.type == 'error' else None)
        page.on('pageerror', lambda error: troubles.append(str(error)))
        own = path.absolute().as_uri()

        def note(request):
            if request.url != own and not request.url.startswith(('data:', 'blob:')):
                troubles.append(f'asked for {request.url}')

        page.on('request', note)
        page.on('dialog', lambda dialog: (troubles.append(f'said {dialog.message}'), dialog.dismiss()))
        page.goto(own)
        yield page, troubles
        browser.close()
