/*
 * LUKS headers: "LUKS On-Disk Format Specification", version 1.2.3.
 *
 * The header says how a passphrase becomes a key (PBKDF2), which opens the key material of a slot; that is the master key,
 * spread over thousands of stripes so that wiping a part of it is enough to lose it. A digest tells the right one.
 */
#include "backends/block/luks.h"

#include "backends/block/cipher.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/secret.h"

#include <errno.h>
#include <string.h>

enum {
    SECTOR = 512,
    HEADER = 592,
    SLOTS = 8,
    SLOT_SIZE = 48,
    DIGEST = 20,
    SALT = 32,
    STRIPES = 4000,
    ALIGN = 4096,
    SLOT_ACTIVE = 0x00ac71f3,
    SLOT_EMPTY = 0x0000dead,
    DEFAULT_TIME = 2000, /* ms */
    MAX_STRIPES = 65536,
    /* In the header; numbers are big-endian. */
    H_VERSION = 6,
    H_CIPHER = 8,
    H_MODE = 40,
    H_HASH = 72,
    H_PAYLOAD = 104,
    H_KEY_SIZE = 108,
    H_DIGEST = 112,
    H_DIGEST_SALT = 132,
    H_DIGEST_ITERATIONS = 164,
    H_UUID = 168,
    H_SLOTS = 208,
    /* In a slot. */
    S_ACTIVE = 0,
    S_ITERATIONS = 4,
    S_SALT = 8,
    S_OFFSET = 40,
    S_STRIPES = 44,
};

static const uint8_t magic[6] = { 'L', 'U', 'K', 'S', 0xba, 0xbe };

struct Luks {
    uint8_t header[HEADER];
    char cipher[33], mode[33], hash[33];
    uint32_t key_size;
    SectorCipher *master; /* NULL: opened without a key */
};

struct LuksNew {
    char *cipher, *mode, *iv, *iv_hash, *hash, *secret;
    uint64_t time;
    uint32_t key_size; /* with both halves of XTS */
    char name[33], full_mode[33];
};

/* ---- the anti-forensic splitter ---- */

/* Each digest-sized part of the block is replaced by the hash of its number and itself. */
static void diffuse(const char *hash, uint8_t *block, size_t size)
{
    size_t digest = hash_size(hash);

    for (uint32_t i = 0; i * digest < size; i++) {
        size_t n = MIN(digest, size - i * digest);
        uint8_t in[4 + CIPHER_HASH_MAX], out[CIPHER_HASH_MAX];

        store_be32(in, i);
        memcpy(in + 4, block + i * digest, n);
        hash_run(hash, in, 4 + n, out);
        memcpy(block + i * digest, out, n);
    }
}

static void fold(uint8_t *into, const uint8_t *stripe, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        into[i] ^= stripe[i];
    }
}

static void merge(const char *hash, const uint8_t *material, size_t key_size, uint32_t stripes, uint8_t *key)
{
    memset(key, 0, key_size);
    for (uint32_t i = 0; i + 1 < stripes; i++) {
        fold(key, material + i * key_size, key_size);
        diffuse(hash, key, key_size);
    }
    fold(key, material + (stripes - 1) * key_size, key_size);
}

static void split(const char *hash, const uint8_t *key, size_t key_size, uint32_t stripes, uint8_t *material)
{
    uint8_t sum[CIPHER_KEY_MAX] = { 0 }, *last = material + (stripes - 1) * key_size;

    random_bytes(material, (stripes - 1) * key_size);
    for (uint32_t i = 0; i + 1 < stripes; i++) {
        fold(sum, material + i * key_size, key_size);
        diffuse(hash, sum, key_size);
    }
    memcpy(last, key, key_size);
    fold(last, sum, key_size);
}

/* ---- opening ---- */

static bool damaged(GError **error, const char *what)
{
    g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "the LUKS header is damaged: %s", what);
    return false;
}

static void copy_text(char *to, const uint8_t *from)
{
    memcpy(to, from, 32);
    to[32] = 0;
}

static const uint8_t *slot_at(const Luks *luks, int index)
{
    return luks->header + H_SLOTS + SLOT_SIZE * index;
}

static bool check_header(Luks *luks, GError **error)
{
    const uint8_t *h = luks->header;

    if (memcmp(h, magic, sizeof(magic))) {
        return damaged(error, "it does not begin as one");
    }
    if (load_be16(h + H_VERSION) != 1) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "LUKS version %u is not supported, only version 1",
                    load_be16(h + H_VERSION));
        return false;
    }
    copy_text(luks->cipher, h + H_CIPHER);
    copy_text(luks->mode, h + H_MODE);
    copy_text(luks->hash, h + H_HASH);
    luks->key_size = load_be32(h + H_KEY_SIZE);
    if (!luks->key_size || luks->key_size > CIPHER_KEY_MAX) {
        return damaged(error, "the key's size is wrong");
    }
    if (!load_be32(h + H_DIGEST_ITERATIONS)) {
        return damaged(error, "it has no iterations");
    }
    for (int i = 0; i < SLOTS; i++) {
        const uint8_t *slot = slot_at(luks, i);

        if (load_be32(slot + S_ACTIVE) == SLOT_ACTIVE &&
            (!load_be32(slot + S_STRIPES) || load_be32(slot + S_STRIPES) > MAX_STRIPES || !load_be32(slot + S_ITERATIONS))) {
            return damaged(error, "a key slot is wrong");
        }
    }
    return true;
}

/* Whether it is the master key. */
static bool check_key(const Luks *luks, const uint8_t *key, GError **error)
{
    const uint8_t *h = luks->header;
    uint8_t digest[DIGEST];

    return key_derive(luks->hash, key, luks->key_size, h + H_DIGEST_SALT, SALT, load_be32(h + H_DIGEST_ITERATIONS), digest,
                      DIGEST, error) &&
           !memcmp(digest, h + H_DIGEST, DIGEST);
}

/* The master key from a slot, if the passphrase opens it. */
static bool try_slot(const Luks *luks, int index, LuksIo *io, void *opaque, const uint8_t *pass, size_t pass_size,
                     uint8_t *key, GError **error)
{
    const uint8_t *slot = slot_at(luks, index);
    uint32_t stripes = load_be32(slot + S_STRIPES);
    size_t size = round_up(luks->key_size * (size_t)stripes, SECTOR);
    g_autofree uint8_t *material = NULL;
    uint8_t slot_key[CIPHER_KEY_MAX];
    SectorCipher *cipher = NULL;
    int failed = 0;

    if (load_be32(slot + S_ACTIVE) != SLOT_ACTIVE) {
        return false;
    }
    material = g_try_malloc(size);
    if (!material || !key_derive(luks->hash, pass, pass_size, slot + S_SALT, SALT, load_be32(slot + S_ITERATIONS), slot_key,
                                 luks->key_size, error)) {
        return false;
    }
    cipher = sector_cipher_new(luks->cipher, luks->mode, slot_key, luks->key_size, error);
    secret_wipe(slot_key, sizeof(slot_key));
    if (!cipher) {
        return false;
    }
    failed = io(opaque, load_be32(slot + S_OFFSET) * (uint64_t)SECTOR, material, size, false);
    failed = failed ? failed : sector_cipher_run(cipher, 0, material, size, false);
    sector_cipher_free(cipher);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the key material: %s", g_strerror(failed));
        return false;
    }
    merge(luks->hash, material, luks->key_size, stripes, key);
    secret_wipe(material, size);
    return check_key(luks, key, error);
}

static bool find_key(Luks *luks, LuksIo *io, void *opaque, const char *secret, GError **error)
{
    uint8_t key[CIPHER_KEY_MAX];
    size_t pass_size;
    uint8_t *pass;
    GError *failed = NULL;

    if (!hash_size(luks->hash)) {
        /* Without the library nothing is known: this says so. */
        return key_derive(luks->hash, "", 0, NULL, 0, 1, key, 1, error);
    }
    pass = secret_get(secret, &pass_size, error);
    if (!pass) {
        return false;
    }
    for (int i = 0; i < SLOTS && !luks->master && !failed; i++) {
        if (try_slot(luks, i, io, opaque, pass, pass_size, key, &failed)) {
            luks->master = sector_cipher_new(luks->cipher, luks->mode, key, luks->key_size, &failed);
        }
    }
    secret_wipe(key, sizeof(key));
    secret_free(pass, pass_size);
    if (!luks->master && !failed) {
        g_set_error(&failed, VM_ERROR, VM_ERROR_USER, "the passphrase '%s' opens none of the key slots", secret);
    }
    if (failed) {
        g_propagate_error(error, failed);
    }
    return luks->master;
}

Luks *luks_open(LuksIo *io, void *opaque, const char *secret, bool need_key, GError **error)
{
    Luks *luks = g_new0(Luks, 1);
    int failed = io(opaque, 0, luks->header, HEADER, false);

    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read the LUKS header: %s", g_strerror(failed));
    } else if (check_header(luks, error)) {
        if (!need_key && !secret) {
            return luks;
        }
        if (!secret) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER,
                        "the image is encrypted: name the passphrase with key-secret=ID and -object secret,id=ID,...");
        } else if (find_key(luks, io, opaque, secret, error)) {
            return luks;
        }
    }
    luks_free(luks);
    return NULL;
}

void luks_free(Luks *luks)
{
    if (luks) {
        sector_cipher_free(luks->master);
        g_free(luks);
    }
}

uint64_t luks_payload_offset(const Luks *luks)
{
    return load_be32(luks->header + H_PAYLOAD) * (uint64_t)SECTOR;
}

int luks_encrypt(Luks *luks, uint64_t sector, void *data, size_t size)
{
    return luks->master ? sector_cipher_run(luks->master, sector, data, size, true) : ENOKEY;
}

int luks_decrypt(Luks *luks, uint64_t sector, void *data, size_t size)
{
    return luks->master ? sector_cipher_run(luks->master, sector, data, size, false) : ENOKEY;
}

void luks_info(const Luks *luks, Json *info)
{
    g_auto(GStrv) mode = g_strsplit(luks->mode, "-", 2);
    const char *iv = mode[0] && mode[1] ? mode[1] : "";
    const char *colon = strchr(iv, ':');
    g_autofree char *iv_name = colon ? g_strndup(iv, colon - iv) : g_strdup(iv);
    g_autofree char *uuid = g_strndup((const char *)luks->header + H_UUID, 40);
    uint32_t bits = luks->key_size * 8 / (mode[0] && !strcmp(mode[0], "xts") ? 2 : 1);
    Json *slots = json_array();

    json_set_string(info, "ivgen-alg", iv_name);
    if (colon) {
        json_set_string(info, "ivgen-hash-alg", colon + 1);
    }
    json_set_string(info, "hash-alg", luks->hash);
    json_set(info, "cipher-alg", json_printf("%s-%u", luks->cipher, bits));
    json_set_string(info, "uuid", uuid);
    json_set_string(info, "cipher-mode", mode[0] ? mode[0] : "");
    for (int i = 0; i < SLOTS; i++) {
        const uint8_t *slot = slot_at(luks, i);
        bool active = load_be32(slot + S_ACTIVE) == SLOT_ACTIVE;
        Json *one = json_object();

        json_set_bool(one, "active", active);
        if (active) {
            json_set_int(one, "iters", load_be32(slot + S_ITERATIONS));
        }
        json_set_int(one, "key-offset", load_be32(slot + S_OFFSET) * (int64_t)SECTOR);
        if (active) {
            json_set_int(one, "stripes", load_be32(slot + S_STRIPES));
        }
        json_append(slots, one);
    }
    json_set(info, "slots", slots);
    json_set_int(info, "payload-offset", luks_payload_offset(luks));
    json_set_int(info, "master-key-iters", load_be32(luks->header + H_DIGEST_ITERATIONS));
}

/* ---- new headers ---- */

void luks_new_free(LuksNew *n)
{
    if (n) {
        g_free(n->cipher);
        g_free(n->mode);
        g_free(n->iv);
        g_free(n->iv_hash);
        g_free(n->hash);
        g_free(n->secret);
        g_free(n);
    }
}

static bool take_text(Json *options, const char *prefix, const char *name, const char *otherwise, char **value,
                      GError **error)
{
    g_autofree char *whole = g_strconcat(prefix, name, NULL);

    if (!block_option_string(options, whole, value, error)) {
        return false;
    }
    *value = *value ? *value : g_strdup(otherwise);
    return true;
}

/* "aes-256" is the cipher aes with a key of 256 bits. */
static bool parse_cipher(LuksNew *n, GError **error)
{
    const char *dash = strrchr(n->cipher, '-');
    unsigned bits = dash ? g_ascii_strtoull(dash + 1, NULL, 10) : 0;

    if (!bits || bits % 64 || bits > 256 || dash - n->cipher > 31) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cipher-alg=%s: use aes-256, serpent-256, twofish-256 and the like",
                    n->cipher);
        return false;
    }
    g_strlcpy(n->name, n->cipher, dash - n->cipher + 1);
    n->key_size = bits / 8 * (strcmp(n->mode, "xts") ? 1 : 2);
    if (!strcmp(n->mode, "ecb")) {
        g_strlcpy(n->full_mode, n->mode, sizeof(n->full_mode));
    } else if (g_snprintf(n->full_mode, sizeof(n->full_mode), "%s-%s%s%s", n->mode, n->iv, n->iv_hash ? ":" : "",
                          n->iv_hash ? n->iv_hash : "") > 31) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "cipher-mode=%s: the name is too long", n->mode);
        return false;
    }
    return true;
}

LuksNew *luks_new_parse(Json *options, const char *prefix, GError **error)
{
    LuksNew *n = g_new0(LuksNew, 1);
    g_autofree char *time_name = g_strconcat(prefix, "iter-time", NULL);

    n->time = DEFAULT_TIME;
    if (take_text(options, prefix, "cipher-alg", "aes-256", &n->cipher, error) &&
        take_text(options, prefix, "cipher-mode", "xts", &n->mode, error) &&
        take_text(options, prefix, "ivgen-alg", "plain64", &n->iv, error) &&
        take_text(options, prefix, "ivgen-hash-alg", NULL, &n->iv_hash, error) &&
        take_text(options, prefix, "hash-alg", "sha256", &n->hash, error) &&
        take_text(options, prefix, "key-secret", NULL, &n->secret, error) &&
        block_option_u64(options, time_name, &n->time, error)) {
        if (!n->iv_hash && !strcmp(n->iv, "essiv")) {
            n->iv_hash = g_strdup("sha256");
        }
        if (!n->secret) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "Parameter '%skey-secret' is required for cipher", prefix);
        } else if (!n->time || n->time > 600000) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "iter-time is from 1 to 600000 milliseconds");
        } else if (parse_cipher(n, error)) {
            return n;
        }
    }
    luks_new_free(n);
    return NULL;
}

static uint64_t slot_space(const LuksNew *n)
{
    return round_up(n->key_size * (uint64_t)STRIPES, ALIGN);
}

uint64_t luks_new_size(const LuksNew *n)
{
    return ALIGN + SLOTS * slot_space(n);
}

static void fill_header(const LuksNew *n, Luks *luks)
{
    uint8_t *h = luks->header, uuid[16];

    memcpy(h, magic, sizeof(magic));
    store_be16(h + H_VERSION, 1);
    memcpy(h + H_CIPHER, n->name, strlen(n->name));
    memcpy(h + H_MODE, n->full_mode, strlen(n->full_mode));
    memcpy(h + H_HASH, n->hash, MIN(strlen(n->hash), 31));
    store_be32(h + H_PAYLOAD, luks_new_size(n) / SECTOR);
    store_be32(h + H_KEY_SIZE, n->key_size);
    random_bytes(h + H_DIGEST_SALT, SALT);
    random_bytes(uuid, sizeof(uuid));
    g_snprintf((char *)h + H_UUID, 40, "%08x-%04x-4%03x-a%03x-%08x%04x", load_le32(uuid), load_le16(uuid + 4),
               load_le16(uuid + 6) & 0xfff, load_le16(uuid + 8) & 0xfff, load_le32(uuid + 10), load_le16(uuid + 14));
    for (int i = 0; i < SLOTS; i++) {
        uint8_t *slot = h + H_SLOTS + SLOT_SIZE * i;

        store_be32(slot + S_ACTIVE, SLOT_EMPTY);
        store_be32(slot + S_OFFSET, (ALIGN + i * slot_space(n)) / SECTOR);
        store_be32(slot + S_STRIPES, STRIPES);
    }
    copy_text(luks->cipher, h + H_CIPHER);
    copy_text(luks->mode, h + H_MODE);
    copy_text(luks->hash, h + H_HASH);
    luks->key_size = n->key_size;
}

/* The first slot opens with the passphrase. */
static bool fill_slot(const LuksNew *n, Luks *luks, const uint8_t *key, LuksIo *io, void *opaque, const uint8_t *pass,
                      size_t pass_size, GError **error)
{
    uint8_t *slot = luks->header + H_SLOTS, slot_key[CIPHER_KEY_MAX];
    uint32_t iterations = key_iterations(n->hash, n->key_size, n->time, error);
    size_t size = n->key_size * (size_t)STRIPES, whole = round_up(size, SECTOR);
    g_autofree uint8_t *material = g_malloc0(whole);
    SectorCipher *cipher;
    int failed;

    store_be32(slot + S_ACTIVE, SLOT_ACTIVE);
    store_be32(slot + S_ITERATIONS, iterations);
    random_bytes(slot + S_SALT, SALT);
    if (!iterations ||
        !key_derive(n->hash, pass, pass_size, slot + S_SALT, SALT, iterations, slot_key, n->key_size, error)) {
        return false;
    }
    cipher = sector_cipher_new(luks->cipher, luks->mode, slot_key, n->key_size, error);
    secret_wipe(slot_key, sizeof(slot_key));
    if (!cipher) {
        return false;
    }
    split(n->hash, key, n->key_size, STRIPES, material);
    failed = sector_cipher_run(cipher, 0, material, whole, true);
    failed = failed ? failed : io(opaque, ALIGN, material, whole, true);
    sector_cipher_free(cipher);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write the key material: %s", g_strerror(failed));
    }
    return !failed;
}

static bool create(const LuksNew *n, Luks *luks, LuksIo *io, void *opaque, const uint8_t *pass, size_t pass_size,
                   GError **error)
{
    uint8_t key[CIPHER_KEY_MAX], *h = luks->header;
    uint32_t iterations = key_iterations(n->hash, DIGEST, MAX(n->time / 8, 1), error);
    int failed;
    bool ok;

    random_bytes(key, n->key_size);
    fill_header(n, luks);
    store_be32(h + H_DIGEST_ITERATIONS, iterations);
    ok = iterations &&
         key_derive(n->hash, key, n->key_size, h + H_DIGEST_SALT, SALT, iterations, h + H_DIGEST, DIGEST, error) &&
         fill_slot(n, luks, key, io, opaque, pass, pass_size, error);
    if (ok) {
        luks->master = sector_cipher_new(luks->cipher, luks->mode, key, n->key_size, error);
        failed = luks->master ? io(opaque, 0, h, HEADER, true) : 0;
        if (failed) {
            g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write the LUKS header: %s", g_strerror(failed));
        }
        ok = luks->master && !failed;
    }
    secret_wipe(key, sizeof(key));
    return ok;
}

Luks *luks_create(const LuksNew *n, LuksIo *io, void *opaque, GError **error)
{
    size_t pass_size;
    uint8_t *pass = secret_get(n->secret, &pass_size, error);
    Luks *luks;

    if (!pass) {
        return NULL;
    }
    luks = g_new0(Luks, 1);
    if (!create(n, luks, io, opaque, pass, pass_size, error)) {
        g_clear_pointer(&luks, luks_free);
    }
    secret_free(pass, pass_size);
    return luks;
}
