#!/usr/bin/env python3
"""Makes an option ROM of a flat binary: pads it, fills in its size and the checksums.

Usage: option_rom.py INPUT OUTPUT
"""
import struct
import sys

UNIT = 512


def fix_sum(rom, start, size, at):
    """Makes the bytes of a range add up to 0 (mod 256) by changing the one at `at`."""
    rom[at] = 0
    rom[at] = -sum(rom[start:start + size]) & 0xff


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], 'rb') as file:
        rom = bytearray(file.read())
    if rom[:2] != b'\x55\xaa':
        sys.exit(f'{sys.argv[1]}: no option ROM')
    rom += bytes(-len(rom) % UNIT)
    rom[2] = len(rom) // UNIT
    pnp, = struct.unpack_from('<H', rom, 0x1a)
    if pnp:
        fix_sum(rom, pnp, rom[pnp + 5] * 16, pnp + 9)
    fix_sum(rom, 0, len(rom), 6)
    with open(sys.argv[2], 'wb') as file:
        file.write(rom)


main()
