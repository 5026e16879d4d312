/*
 * A server of 9P2000.L: the files of an FsDev for one guest.
 *
 * Whatever messages say, no file outside of the folder is reached: names are looked up one at a time below open
 * folders, symbolic links are never followed here (guests follow them on their side), and ".." is what a file was
 * reached through, never what the host has there.
 */
#ifndef BACKENDS_P9_H
#define BACKENDS_P9_H

#include "backends/fsdev.h"

#include <stdint.h>
#include <sys/uio.h>

enum { P9_HEADER = 7, P9_TFLUSH = 108 }; /* size[4] type[1] tag[2] */

typedef struct P9Session P9Session;

P9Session *p9_new(FsDev *dev, GError **error);
void p9_free(P9Session *p);
void p9_reset(P9Session *p); /* forgets the guest: no fids, no version */
/*
 * Serves one message; waits for the disk. Any thread, several at once. Returns the bytes of the reply that it put
 * into `in`; 0: the message has no header, or there is no room for any reply. The caller answers Tflush after the
 * message that it names, and passes it on here for its reply.
 */
size_t p9_serve(P9Session *p, const struct iovec *out, unsigned out_count, const struct iovec *in, unsigned in_count);
/* Fids by their paths; open files are opened again, and what cannot be found then is ESTALE. Nothing is being served. */
void p9_save(P9Session *p, GKeyFile *out, const char *group);
bool p9_load(P9Session *p, GKeyFile *in, const char *group, GError **error);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(P9Session, p9_free)

#endif
