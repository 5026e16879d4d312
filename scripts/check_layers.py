#!/usr/bin/env python3
"""Reports includes that point the wrong way through scripts/layers.txt.

Usage: check_layers.py [ROOT]. An include that must break the rule says why on its line:
    #include "target/x86/cpu.h" /* layer: the gdb stub names guest registers */
"""
import pathlib
import re
import subprocess
import sys

root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]).resolve()


def read_layers():
    layers = {}
    for line in (root / 'scripts/layers.txt').read_text().splitlines():
        words = line.split('#')[0].split()
        if words:
            layers[words[0]] = {words[0], *words[1:]}
    return layers


def layer_of(path, layers):
    """The longest prefix of a path that layers.txt names."""
    for n in range(len(path.parts), 0, -1):
        if '/'.join(path.parts[:n]) in layers:
            return '/'.join(path.parts[:n])
    return None


def sources():
    listed = subprocess.run(['git', 'ls-files', '*.c', '*.h'], cwd=root, capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return [pathlib.Path(name) for name in listed.stdout.split()]
    return [p.relative_to(root) for p in root.rglob('*.[ch]') if 'build' not in p.parts]


def main():
    layers = read_layers()
    bad = 0
    for here in sorted(sources()):
        if not (root / here).exists():
            continue
        owner = layer_of(pathlib.Path(*here.parts[1:]) if here.parts[0] == 'include' else here, layers)
        for number, line in enumerate((root / here).read_text().splitlines(), 1):
            m = re.match(r'#include "([\w/-]+/[\w.-]+)"', line)
            target = m and layer_of(pathlib.Path(m[1]), layers)
            if not target or not owner or '/* layer:' in line:
                continue
            if target not in layers[owner] and '*' not in layers[owner]:
                print(f'{here}:{number}: {owner} does not depend on {target}')
                bad += 1
    return bad > 0


sys.exit(main())
