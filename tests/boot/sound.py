#!/usr/bin/env python3
"""Sound cards of PCs: Debian's ALSA drivers play a tone, which the file of -audiodev wav has.

Usage: sound.py MYNA [test...]
"""
import os
import tempfile

import linux
import machine
import mac

PATIENCE = 400  # seconds, on a busy host too


def play(myna, arch, driver, devices, rates=mac.RATES):
    """Two seconds at each of these rates."""
    with tempfile.TemporaryDirectory() as folder:
        tone = linux.compile_for(arch, folder, 'tone.c', '-static', '-lm')
        path = os.path.join(folder, 'out.wav')
        task = f'for rate in {" ".join(map(str, rates))}; do /bin/tone-test $rate || echo BOOT-FAIL; done\necho BOOT-END\npoweroff -f\n'
        with linux.boot(myna, arch, task, modules=[*driver, 'snd_pcm_oss', 'snd_mixer_oss'], programs=[tone], append='no_timer_check',
                        args=['-audiodev', f'wav,id=snd,path={path}', '-nic', 'none', *devices]) as m:
            m.expect('TONE at', PATIENCE)
            m.expect('BOOT-END', PATIENCE)
            m.wait_exit(60)
            if 'BOOT-FAIL' in m.text:
                raise machine.Failure('the driver does not play')
        mac.check_waves(path, 2000 * len(rates))


AC97 = ['-device', 'AC97,audiodev=snd']
TESTS = {
    'ac97': lambda myna: play(myna, 'amd64', ['snd_intel8x0'], AC97),
    'ac97-i386': lambda myna: play(myna, 'i386', ['snd_intel8x0'], AC97, rates=[48000]),
    'hda': lambda myna: play(myna, 'amd64', ['snd_hda_codec_generic', 'snd_hda_intel'],
                             ['-device', 'ich9-intel-hda', '-device', 'hda-output,audiodev=snd']),
}

if __name__ == '__main__':
    machine.main(TESTS)
