/* Encryption of sectors, hashes and keys from passphrases. */
#include "backends/block/cipher.h"

#include "config.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void random_bytes(void *data, size_t size)
{
    uint8_t *at = data;

    while (size) {
        ssize_t n = getrandom(at, MIN(size, 256), 0);

        if (n > 0) {
            at += n;
            size -= n;
        }
    }
}

#ifdef CONFIG_GCRYPT

#include <gcrypt.h>

enum { SECTOR = 512, BLOCK_MAX = 16 };

typedef enum IvKind { IV_NONE, IV_PLAIN, IV_PLAIN64, IV_ESSIV } IvKind;

/* One user's set of handles. */
typedef struct Handles {
    gcry_cipher_hd_t data, iv;
    struct Handles *next;
} Handles;

struct SectorCipher {
    int algorithm, mode, iv_algorithm;
    IvKind iv;
    size_t block;
    uint8_t key[CIPHER_KEY_MAX], iv_key[CIPHER_HASH_MAX];
    size_t key_size, iv_key_size;
    GMutex lock;
    Handles *idle;
};

static void init(void)
{
    static gsize ready;

    if (g_once_init_enter(&ready)) {
        gcry_check_version(NULL);
        gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
        g_once_init_leave(&ready, 1);
    }
}

/* ---- hashes ---- */

static int hash_algorithm(const char *hash)
{
    static const struct {
        const char *name;
        int algorithm;
    } hashes[] = {
        { "md5", GCRY_MD_MD5 },         { "sha1", GCRY_MD_SHA1 },     { "sha224", GCRY_MD_SHA224 },
        { "sha256", GCRY_MD_SHA256 },   { "sha384", GCRY_MD_SHA384 }, { "sha512", GCRY_MD_SHA512 },
        { "ripemd160", GCRY_MD_RMD160 }, { "whirlpool", GCRY_MD_WHIRLPOOL },
    };

    init();
    for (unsigned i = 0; i < G_N_ELEMENTS(hashes); i++) {
        if (!strcmp(hashes[i].name, hash)) {
            return hashes[i].algorithm;
        }
    }
    return 0;
}

size_t hash_size(const char *hash)
{
    int algorithm = hash_algorithm(hash);

    return algorithm ? gcry_md_get_algo_dlen(algorithm) : 0;
}

bool hash_run(const char *hash, const void *data, size_t size, uint8_t *out)
{
    int algorithm = hash_algorithm(hash);

    if (algorithm) {
        gcry_md_hash_buffer(algorithm, out, data, size);
    }
    return algorithm;
}

bool key_derive(const char *hash, const void *passphrase, size_t passphrase_size, const uint8_t *salt, size_t salt_size,
                uint32_t iterations, uint8_t *key, size_t key_size, GError **error)
{
    int algorithm = hash_algorithm(hash);
    gcry_error_t failed;

    if (!algorithm) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "the hash '%s' is not supported", hash);
        return false;
    }
    failed = gcry_kdf_derive(passphrase, passphrase_size, GCRY_KDF_PBKDF2, algorithm, salt, salt_size, iterations, key_size,
                             key);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot make a key of the passphrase: %s", gcry_strerror(failed));
    }
    return !failed;
}

static int64_t cpu_time_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * (int64_t)G_USEC_PER_SEC + t.tv_nsec / 1000;
}

uint32_t key_iterations(const char *hash, size_t key_size, unsigned milliseconds, GError **error)
{
    uint8_t key[CIPHER_KEY_MAX], salt[32] = { 0 };
    uint64_t tried = 4096, wanted;
    int64_t took = 0;

    while (took < 20000 && tried < (UINT64_C(1) << 24)) {
        int64_t start = cpu_time_us();

        tried *= 2;
        if (!key_derive(hash, "password", 8, salt, sizeof(salt), tried, key, MIN(key_size, sizeof(key)), error)) {
            return 0;
        }
        took = cpu_time_us() - start;
    }
    wanted = tried * milliseconds * 1000 / MAX(took, 1);
    return CLAMP(wanted, 1000, UINT32_MAX);
}

/* ---- ciphers ---- */

static int cipher_algorithm(const char *name, size_t key_size)
{
    static const struct {
        const char *name;
        size_t key_size;
        int algorithm;
    } ciphers[] = {
        { "aes", 16, GCRY_CIPHER_AES128 },         { "aes", 24, GCRY_CIPHER_AES192 },
        { "aes", 32, GCRY_CIPHER_AES256 },         { "serpent", 16, GCRY_CIPHER_SERPENT128 },
        { "serpent", 24, GCRY_CIPHER_SERPENT192 }, { "serpent", 32, GCRY_CIPHER_SERPENT256 },
        { "twofish", 16, GCRY_CIPHER_TWOFISH128 }, { "twofish", 32, GCRY_CIPHER_TWOFISH },
        { "cast5", 16, GCRY_CIPHER_CAST5 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(ciphers); i++) {
        if (!strcmp(ciphers[i].name, name) && ciphers[i].key_size == key_size) {
            return ciphers[i].algorithm;
        }
    }
    return 0;
}

/* "essiv:sha256": sector numbers are encrypted with the key's hash. */
static bool parse_iv(SectorCipher *c, const char *name, const char *iv)
{
    if (!strcmp(iv, "plain")) {
        c->iv = IV_PLAIN;
    } else if (!strcmp(iv, "plain64")) {
        c->iv = IV_PLAIN64;
    } else if (g_str_has_prefix(iv, "essiv:")) {
        c->iv = IV_ESSIV;
        c->iv_key_size = hash_size(iv + 6);
        c->iv_algorithm = c->iv_key_size ? cipher_algorithm(name, c->iv_key_size) : 0;
        return c->iv_algorithm && hash_run(iv + 6, c->key, c->key_size, c->iv_key);
    } else {
        return false;
    }
    return true;
}

static bool parse_mode(SectorCipher *c, const char *name, const char *mode)
{
    const char *dash = strchr(mode, '-');
    size_t length = dash ? (size_t)(dash - mode) : strlen(mode), cipher_key = c->key_size;

    if (length != 3) {
        return false;
    }
    if (!strncmp(mode, "ecb", 3)) {
        c->mode = GCRY_CIPHER_MODE_ECB;
    } else if (!strncmp(mode, "cbc", 3)) {
        c->mode = GCRY_CIPHER_MODE_CBC;
    } else if (!strncmp(mode, "xts", 3)) {
        c->mode = GCRY_CIPHER_MODE_XTS;
        cipher_key /= 2;
    } else {
        return false;
    }
    c->algorithm = cipher_algorithm(name, cipher_key);
    c->block = c->algorithm ? gcry_cipher_get_algo_blklen(c->algorithm) : 0;
    if (!c->algorithm || c->block > BLOCK_MAX || (c->mode == GCRY_CIPHER_MODE_XTS && c->block != BLOCK_MAX)) {
        return false;
    }
    return c->mode == GCRY_CIPHER_MODE_ECB || (dash && parse_iv(c, name, dash + 1));
}

static void close_handles(Handles *h)
{
    gcry_cipher_close(h->data);
    gcry_cipher_close(h->iv);
    g_free(h);
}

static Handles *take_handles(SectorCipher *c)
{
    Handles *h;

    g_mutex_lock(&c->lock);
    h = c->idle;
    if (h) {
        c->idle = h->next;
    }
    g_mutex_unlock(&c->lock);
    if (h) {
        return h;
    }
    h = g_new0(Handles, 1);
    if (gcry_cipher_open(&h->data, c->algorithm, c->mode, 0) || gcry_cipher_setkey(h->data, c->key, c->key_size) ||
        (c->iv == IV_ESSIV && (gcry_cipher_open(&h->iv, c->iv_algorithm, GCRY_CIPHER_MODE_ECB, 0) ||
                               gcry_cipher_setkey(h->iv, c->iv_key, c->iv_key_size)))) {
        close_handles(h);
        return NULL;
    }
    return h;
}

static void give_back(SectorCipher *c, Handles *h)
{
    g_mutex_lock(&c->lock);
    h->next = c->idle;
    c->idle = h;
    g_mutex_unlock(&c->lock);
}

SectorCipher *sector_cipher_new(const char *name, const char *mode, const uint8_t *key, size_t key_size, GError **error)
{
    SectorCipher *c;
    Handles *h = NULL;

    init();
    if (key_size > CIPHER_KEY_MAX) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "a key of %zu bytes is not supported", key_size);
        return NULL;
    }
    c = g_new0(SectorCipher, 1);
    g_mutex_init(&c->lock);
    memcpy(c->key, key, key_size);
    c->key_size = key_size;
    if (parse_mode(c, name, mode)) {
        h = take_handles(c);
    }
    if (!h) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "the cipher %s-%s with a key of %zu bits is not supported", name, mode,
                    key_size * 8);
        sector_cipher_free(c);
        return NULL;
    }
    give_back(c, h);
    return c;
}

void sector_cipher_free(SectorCipher *c)
{
    if (!c) {
        return;
    }
    while (c->idle) {
        Handles *next = c->idle->next;

        close_handles(c->idle);
        c->idle = next;
    }
    g_mutex_clear(&c->lock);
    secret_wipe(c, sizeof(*c));
    g_free(c);
}

static gcry_error_t set_iv(SectorCipher *c, Handles *h, uint64_t sector)
{
    uint8_t iv[BLOCK_MAX] = { 0 };
    gcry_error_t failed = 0;

    if (c->iv == IV_NONE) {
        return 0;
    }
    store_le64(iv, c->iv == IV_PLAIN ? (uint32_t)sector : sector);
    if (c->iv == IV_ESSIV) {
        failed = gcry_cipher_encrypt(h->iv, iv, c->block, NULL, 0);
    }
    return failed ? failed : gcry_cipher_setiv(h->data, iv, c->block);
}

int sector_cipher_run(SectorCipher *c, uint64_t sector, void *data, size_t size, bool encrypt)
{
    Handles *h = take_handles(c);
    gcry_error_t failed = 0;

    if (!h) {
        return ENOMEM;
    }
    for (size_t done = 0; done < size && !failed; done += SECTOR) {
        uint8_t *at = (uint8_t *)data + done;

        failed = set_iv(c, h, sector + done / SECTOR);
        if (!failed) {
            failed = encrypt ? gcry_cipher_encrypt(h->data, at, SECTOR, NULL, 0)
                             : gcry_cipher_decrypt(h->data, at, SECTOR, NULL, 0);
        }
    }
    give_back(c, h);
    return failed ? EIO : 0;
}

#else /* no libgcrypt */

static bool missing(GError **error)
{
    g_set_error(error, VM_ERROR, VM_ERROR_HOST, "this program was built without libgcrypt, which encrypted images need");
    return false;
}

SectorCipher *sector_cipher_new(const char *name, const char *mode, const uint8_t *key, size_t key_size, GError **error)
{
    missing(error);
    return NULL;
}

void sector_cipher_free(SectorCipher *c)
{
}

int sector_cipher_run(SectorCipher *c, uint64_t sector, void *data, size_t size, bool encrypt)
{
    return ENOTSUP;
}

size_t hash_size(const char *hash)
{
    return 0;
}

bool hash_run(const char *hash, const void *data, size_t size, uint8_t *out)
{
    return false;
}

bool key_derive(const char *hash, const void *passphrase, size_t passphrase_size, const uint8_t *salt, size_t salt_size,
                uint32_t iterations, uint8_t *key, size_t key_size, GError **error)
{
    return missing(error);
}

uint32_t key_iterations(const char *hash, size_t key_size, unsigned milliseconds, GError **error)
{
    return missing(error);
}

#endif
