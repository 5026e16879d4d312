/* The 8x16 font of text consoles. */
#ifndef UI_FONT_H
#define UI_FONT_H

#include <stdint.h>

enum { FONT_WIDTH = 8, FONT_HEIGHT = 16 };

/* Sixteen rows of a character of code page 437, the leftmost pixel in bit 7. */
const uint8_t *font_glyph(uint8_t character);

#endif
