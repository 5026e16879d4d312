/* For tests of sound chips: the file that what they play goes to. */
#ifndef TESTS_HW_AUDIO_WAV_RIG_H
#define TESTS_HW_AUDIO_WAV_RIG_H

#include <stddef.h>
#include <stdint.h>

/* The audio device "snd", a stereo file of 16-bit samples at 48000 or 44100 Hz. Once, behind rig_init. */
void wav_rig_start(unsigned frequency);
size_t wav_rig_frames(void);     /* how many are in it */
int16_t wav_rig_last_left(void); /* the left sample of the last one */
int wav_rig_run(void);           /* g_test_run, and the file is gone */

#endif
