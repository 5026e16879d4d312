/* The link of High Definition Audio, between a controller and its codecs. */
#ifndef HW_AUDIO_HDA_H
#define HW_AUDIO_HDA_H

#include "backends/audio.h"
#include "core/device.h"

#define HDA_BUS "hda"
enum { HDA_CODECS = 15 };

typedef struct HdaCodec HdaCodec;

/* A bus for codecs, in whose order they have addresses unless cad= says otherwise. */
Bus *hda_bus_new(Device *controller);
HdaCodec *hda_bus_codec(Bus *bus, unsigned address); /* NULL: nobody is there */

void hda_codec_link_reset(HdaCodec *codec);
uint32_t hda_codec_command(HdaCodec *codec, uint32_t command); /* as it is in CORB, without the address; the response */
unsigned hda_codec_tag(const HdaCodec *codec); /* of the stream that it plays, 1 to 15; 0: none */
void hda_codec_stream(HdaCodec *codec, const AudioFormat *format); /* the stream of its tag runs; NULL: none does */
void hda_codec_play(HdaCodec *codec, const AudioFormat *format, const void *data, size_t frames);

#endif
