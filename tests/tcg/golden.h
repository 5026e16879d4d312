/* Files of golden numbers: "hex code | what it is | host instructions on the usual path, and out of line". */
#ifndef TESTS_TCG_GOLDEN_H
#define TESTS_TCG_GOLDEN_H

#include <stdint.h>

enum { GOLDEN_MAX_CODE = 192 };

/* The host code of a guest snippet as text; the caller frees. */
typedef char *GoldenTranslate(const uint8_t *code, unsigned size, void *opaque);

/* Compares all lines of tests/golden/NAME, of which there are more than `least`. MYNA_GOLDEN_UPDATE=1 writes the numbers instead;
 * MYNA_GOLDEN_SHOW=TEXT shows the code of lines that have the text. */
void golden_compare(const char *name, unsigned least, GoldenTranslate *translate, void *opaque);

#endif
