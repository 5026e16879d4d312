#!/usr/bin/env python3
"""The x86 oracle without end, in parts that add up.

    long.py FUZZ-CPU [--log FILE] [--instances N] [--parts N] [arguments of fuzz-cpu ...]

Each part is a run of fuzz-cpu with a seed of its own and N instances per mode. When it has ended, a line goes to the log
(~/.local/state/myna/fuzz-cpu.log): time, version, seed, mode, instances, differences; the differences themselves go to a file
beside it. What is interrupted is not counted. Several may run at once.
"""
import argparse
import collections
import os
import re
import secrets
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def version():
    done = subprocess.run(['git', '-C', HERE, 'describe', '--always', '--dirty'], capture_output=True, text=True)
    return done.stdout.strip() or 'unknown'


def run_part(program, seed, instances, arguments):
    """Instances by mode, and what differed as text."""
    done = subprocess.run([program, '--quiet', '--keep-going', '--seed', str(seed), '--instances', str(instances), *arguments],
                          stdout=subprocess.PIPE, text=True, errors='replace')
    if done.returncode not in (0, 1):
        sys.exit(f'seed {seed}: fuzz-cpu ended with {done.returncode}\n{done.stdout}')
    ran = {m[1]: int(m[2]) for m in re.finditer(r'^mode (\d+): (\d+) instances', done.stdout, re.M)}
    differences = int(re.search(r'^(\d+) differences', done.stdout, re.M)[1])
    told = ''.join(line for line in done.stdout.splitlines(True) if re.match(r'#|(64|32|16) ', line))
    return ran, differences, told


def totals(log):
    """Instances by mode, and differences."""
    sums, differences = collections.Counter(), 0
    if os.path.exists(log):
        with open(log) as lines:
            for line in lines:
                _, _, _, mode, instances, differed = line.split()
                sums[mode] += int(instances)
                differences += int(differed)
    return sums, differences


def main():
    state = os.environ.get('XDG_STATE_HOME') or os.path.expanduser('~/.local/state')
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('program')
    parser.add_argument('--log', default=os.path.join(state, 'myna/fuzz-cpu.log'))
    parser.add_argument('--instances', type=int, default=2000000)
    parser.add_argument('--parts', type=int, default=0, help='0: without end')
    options, arguments = parser.parse_known_args()
    os.makedirs(os.path.dirname(os.path.abspath(options.log)), exist_ok=True)
    done, differed = 0, 0
    while not options.parts or done < options.parts:
        seed, name = secrets.randbits(48), version()
        ran, differences, told = run_part(options.program, seed, options.instances, arguments)
        now = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())
        with open(options.log, 'a') as log:
            for n, (mode, instances) in enumerate(ran.items()):
                print(now, name, seed, mode, instances, 0 if n else differences, file=log)
        if told:
            with open(options.log + '.differences', 'a') as file:
                print(f'# {now} {name} seed {seed}', file=file)
                file.write(told)
            print(told, end='')
        sums, all_differences = totals(options.log)
        print(f'seed {seed}: {differences} differences; in all', ', '.join(f'{sums[m]} of mode {m}' for m in sums),
              f'and {all_differences} differences', flush=True)
        done, differed = done + 1, differed + differences
    return 1 if differed else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
