/* LUKS headers (version 1): a master key behind passphrases. For the raw format `luks` and for qcow2. */
#ifndef BACKENDS_BLOCK_LUKS_H
#define BACKENDS_BLOCK_LUKS_H

#include "backends/block/driver.h"

typedef struct Luks Luks;

/* Reads or writes the area of the header, which begins at offset 0. 0 or errno. */
typedef int LuksIo(void *opaque, uint64_t offset, void *buf, size_t size, bool is_write);

/* What a new header shall be like, from options "cipher-alg", "cipher-mode", "ivgen-alg", "ivgen-hash-alg", "hash-alg",
 * "iter-time" and "key-secret" with the prefix ("" or "encrypt."), which are taken out. */
typedef struct LuksNew LuksNew;
LuksNew *luks_new_parse(Json *options, const char *prefix, GError **error);
void luks_new_free(LuksNew *what);
/* Bytes that header and key material take. */
uint64_t luks_new_size(const LuksNew *what);
/* Writes the header; the result is open. */
Luks *luks_create(const LuksNew *what, LuksIo *io, void *opaque, GError **error);

/* secret: id of the passphrase; NULL with need_key false: only what the header says. */
Luks *luks_open(LuksIo *io, void *opaque, const char *secret, bool need_key, GError **error);
void luks_free(Luks *luks); /* NULL: nothing */
uint64_t luks_payload_offset(const Luks *luks);
void luks_info(const Luks *luks, Json *info);
/* In place; whole sectors of 512 bytes. Any thread. 0 or errno; ENOKEY if it was opened without a key. */
int luks_encrypt(Luks *luks, uint64_t sector, void *data, size_t size);
int luks_decrypt(Luks *luks, uint64_t sector, void *data, size_t size);

#endif
