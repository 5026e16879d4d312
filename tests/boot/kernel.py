#!/usr/bin/env python3
"""Direct kernel start without a Linux: a multiboot kernel of our own, and files that cannot start.

usage: kernel.py MYNA ELF-KERNEL FLAT-KERNEL
"""
import os
import re
import subprocess
import sys
import tempfile

count = 0


def check(name, good, detail=''):
    global count
    count += 1
    print(f'{"ok" if good else "not ok"} {count} - {name}', flush=True)
    if not good:
        for line in str(detail).splitlines():
            print(f'# {line}')


def run(myna, *args):
    return subprocess.run([myna, '-display', 'none', '-monitor', 'none', '-serial', 'none', '-accel', 'tcg', *args],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100)


def multiboot(myna, kernel, folder, *args):
    """What the kernel reports, as a list of (word, rest of the line)."""
    log = os.path.join(folder, 'log')
    result = run(myna, '-m', '48', '-kernel', kernel, '-debugcon', f'file:{log}',
                 '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', *args)
    with open(log, encoding='latin1') as file:
        text = file.read()
    text = text[text.find('magic '):]
    return result, [line.partition(' ')[::2] for line in text.splitlines()]


def check_multiboot(myna, kernel, folder):
    first, second = os.path.join(folder, 'first'), os.path.join(folder, 'second')
    for path, contents in (first, 'one'), (second, 'two' * 2000):
        with open(path, 'w', encoding='ascii') as file:
            file.write(contents)
    result, report = multiboot(myna, kernel, folder, '-append', 'quick brown',
                               '-initrd', f'{first} with words,{second}')
    facts = dict(report)
    ranges = [tuple(int(n, 16) for n in rest.split()) for word, rest in report if word == 'range']
    modules = [rest.partition(' ') for word, rest in report if word == 'module']
    check('the kernel runs to its end', result.returncode == 1 and 'end' in facts, (result, report))
    check('EAX holds the magic number', facts.get('magic', '').strip() == '2badb002', report)
    check('the command line begins with the file', facts.get('cmdline') == f'{kernel} quick brown', report)
    check('modules come with their words',
          [text for _, _, text in modules] == [f'{first} with words: one', f'{second}: ' + 'two' * 2000],
          modules)
    check('modules are on pages', all(int(at, 16) % 4096 == 0 for at, _, _ in modules), modules)
    check('the memory map has low memory', any(r[0] == 0 and r[2] == 1 for r in ranges), ranges)
    check('the memory map has high memory',
          any(r[0] == 1 << 20 and r[2] == 1 and 40 << 20 < r[1] < 47 << 20 for r in ranges), ranges)
    check('mem_lower is in kilobytes', 600 < int(facts.get('lower', '0'), 16) <= 640, facts)
    check('mem_upper is in kilobytes', 40 << 10 < int(facts.get('upper', '0'), 16) < 47 << 10, facts)


def check_pipe(myna, kernel, folder):
    """A kernel that is written into a pipe once, as by `zcat kernel.gz > pipe`."""
    pipe, name = os.path.join(folder, 'pipe'), 'a kernel comes through a pipe'
    os.mkfifo(pipe)
    writer = subprocess.Popen(['dd', f'if={kernel}', f'of={pipe}', 'status=none'], stderr=subprocess.DEVNULL)
    try:
        result, report = multiboot(myna, pipe, folder)
        check(name, result.returncode == 1 and ('end', '') in report, (result, report))
    except subprocess.TimeoutExpired as error:
        check(name, False, error)
    finally:
        writer.kill()
        writer.wait()


def check_errors(myna, kernel, folder):
    text, large = os.path.join(folder, 'text'), os.path.join(folder, 'large')
    with open(text, 'w', encoding='ascii') as file:
        file.write('no kernel\n' * 1000)
    with open(large, 'w', encoding='ascii') as file:
        file.truncate(64 << 20)
    cases = {
        'a kernel that is not there': (['-kernel', folder + '/none'], r"kernel '.*none' does not exist"),
        'a file that is no kernel': (['-kernel', text], r"'.*text' is no kernel that can be started"),
        'an empty file': (['-kernel', '/dev/null'], r"'/dev/null' is no kernel"),
        'a module that is not there': (['-kernel', kernel, '-initrd', folder + '/none'],
                                       r"module '.*none' does not exist"),
        'a module larger than memory': (['-m', '48', '-kernel', kernel, '-initrd', large],
                                        r"module '.*large' is too large for 48 MiB"),
        'an initrd without a kernel': (['-initrd', text], r'-initrd needs -kernel'),
    }
    for name, (args, message) in cases.items():
        result = run(myna, *args)
        lines = result.stderr.strip().splitlines()
        check(name, result.returncode == 1 and len(lines) == 1 and re.search(message, lines[0]), result)


def main():
    myna, kernel, flat = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix='myna-test-') as folder:
        check_multiboot(myna, kernel, folder)
        result, report = multiboot(myna, flat, folder)
        check('a kernel without ELF headers runs', result.returncode == 1 and ('end', '') in report,
              (result, report))
        check_pipe(myna, kernel, folder)
        check_errors(myna, kernel, folder)
    print(f'1..{count}')


main()
