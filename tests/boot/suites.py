"""Test suites of other people that no Debian package has: where their sources are kept."""
import os
import pathlib

import machine


def source(name, home):
    """The folder of a suite's sources, as a checkout of `home` has them: $MYNA_SUITES/NAME, else ~/.cache/myna-suites/NAME."""
    root = os.environ.get('MYNA_SUITES') or \
        pathlib.Path(os.environ.get('XDG_CACHE_HOME') or pathlib.Path.home() / '.cache') / 'myna-suites'
    folder = pathlib.Path(root) / name
    if not folder.is_dir():
        machine.skip(f'no {folder}: a checkout of {home} (docs/testing.md, "Published suites")')
    return folder
