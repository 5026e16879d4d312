/* Functions of options.def's rows, and what they share. Private to cmdline*.c. */
#ifndef SYSTEM_CMDLINE_OPTIONS_H
#define SYSTEM_CMDLINE_OPTIONS_H

#include "system/cmdline.h"

/* Takes an option's argument, NULL where it has none, into the machine's configuration. False: the error says what is wrong with it. */
typedef bool OptionFn(const char *arg, GError **error);

#define OPTION(name, arg, help, fn) OptionFn fn;
#include "system/options.def"
#undef OPTION

/* Sets the error, and returns false. */
bool option_fail(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Says that "-old" goes on working, and what is written today. */
void option_hint(const char *old, const char *modern);

/* Whether the argument is "help" or "?". */
bool option_asks_help(const char *arg);

#endif
