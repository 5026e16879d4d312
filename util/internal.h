/* What the files of util/ share. */
#ifndef UTIL_INTERNAL_H
#define UTIL_INTERNAL_H

/* To the -D file whatever the mask says; any thread. */
void log_write_text(const char *text);

#endif
