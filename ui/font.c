/* The 8x16 font of text consoles: the one in the VGA BIOS, which every set-up has. */
#include "ui/font.h"

#include "core/machine.h"
#include "util/log.h"

#include <string.h>

static uint8_t font[256 * FONT_HEIGHT];

/* Blank, then the smiling face: how code page 437 begins in every 8x16 font. */
static const uint8_t *find_font(const uint8_t *rom, size_t size)
{
    static const uint8_t face[] = { 0x7e, 0x81, 0xa5, 0x81, 0x81 };

    for (size_t at = FONT_HEIGHT; at + sizeof(font) <= size; at++) {
        const uint8_t *start = rom + at - FONT_HEIGHT;
        bool blank = true;

        for (int i = 0; i < FONT_HEIGHT; i++) {
            blank &= start[i] == 0;
        }
        if (blank && memcmp(rom + at + 2, face, sizeof(face)) == 0 && rom[at] == 0 &&
            /* In an 8x16 font the next glyph, the face in reverse, is 16 bytes on. */
            rom[at + FONT_HEIGHT + 2] == 0x7e && rom[at + FONT_HEIGHT + 3] == 0xff) {
            return start;
        }
    }
    return NULL;
}

static void load_font(void)
{
    g_autofree char *path = firmware_find("vgabios-stdvga.bin");
    g_autofree char *data = NULL;
    const uint8_t *found = NULL;
    gsize size;

    if (path && g_file_get_contents(path, &data, &size, NULL)) {
        found = find_font((const uint8_t *)data, size);
    }
    if (found) {
        memcpy(font, found, sizeof(font));
        return;
    }
    log_warn("no font for text consoles: vgabios-stdvga.bin of Debian's seabios package has one");
    for (int i = 33; i < 256; i++) { /* at least one sees that there is text */
        memset(font + i * FONT_HEIGHT + 4, 0x7c, 8);
    }
}

const uint8_t *font_glyph(uint8_t character)
{
    static bool loaded;

    if (!loaded) {
        loaded = true;
        load_font();
    }
    return font + character * FONT_HEIGHT;
}
