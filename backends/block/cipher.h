/* Encryption of sectors, hashes and keys from passphrases, through libgcrypt where the build has it. */
#ifndef BACKENDS_BLOCK_CIPHER_H
#define BACKENDS_BLOCK_CIPHER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CIPHER_KEY_MAX  64
#define CIPHER_HASH_MAX 64

/* A key that encrypts sectors of 512 bytes. Functions on it: any thread. */
typedef struct SectorCipher SectorCipher;

/* name: "aes", "serpent", "twofish", "cast5"; mode: "xts-plain64", "cbc-essiv:sha256", "cbc-plain64", "ecb" and so on, as
 * LUKS spells them; key: of the length that both need, 16 to 64 bytes. */
SectorCipher *sector_cipher_new(const char *name, const char *mode, const uint8_t *key, size_t key_size, GError **error);
void sector_cipher_free(SectorCipher *cipher); /* NULL: nothing */
/* In place; whole sectors, the first of which has that number. 0 or errno. */
int sector_cipher_run(SectorCipher *cipher, uint64_t sector, void *data, size_t size, bool encrypt);

/* Hashes by name: "sha1", "sha256", "sha512", "ripemd160"... 0: not known. */
size_t hash_size(const char *hash);
bool hash_run(const char *hash, const void *data, size_t size, uint8_t *out);
bool key_derive(const char *hash, const void *passphrase, size_t passphrase_size, const uint8_t *salt, size_t salt_size,
                uint32_t iterations, uint8_t *key, size_t key_size, GError **error);
/* Iterations of key_derive that take so long here; at least 1000. 0 after an error. */
uint32_t key_iterations(const char *hash, size_t key_size, unsigned milliseconds, GError **error);
/* Unguessable. */
void random_bytes(void *data, size_t size);

#endif
