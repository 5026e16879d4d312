/* Encryption of qcow2 guest data: LUKS, and the old AES, whose key is the passphrase itself. */
#include "backends/block/qcow2/qcow2.h"

#include "backends/block/cipher.h"
#include "backends/block/luks.h"
#include "util/error.h"
#include "util/secret.h"

#include <errno.h>
#include <string.h>

#define SECTOR 512

/* s->crypt; one of both. */
typedef struct Crypt {
    Luks *luks;       /* by where data lies in the file */
    SectorCipher *aes; /* by where the guest sees it */
} Crypt;

static int header_io(void *opaque, uint64_t offset, void *buf, size_t size, bool is_write)
{
    Qcow2 *s = opaque;

    if (offset > s->crypt_length || size > s->crypt_length - offset) {
        return EINVAL;
    }
    return is_write ? block_image_write(s->image.file, s->crypt_offset + offset, buf, size)
                    : block_image_read(s->image.file, s->crypt_offset + offset, buf, size);
}

static SectorCipher *open_aes(const char *secret, GError **error)
{
    uint8_t key[16] = { 0 };
    SectorCipher *cipher;
    size_t size;
    uint8_t *pass;

    if (!secret) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER,
                    "the image is encrypted: name the passphrase with encrypt.key-secret=ID and -object secret,id=ID,...");
        return NULL;
    }
    pass = secret_get(secret, &size, error);
    if (!pass) {
        return NULL;
    }
    memcpy(key, pass, MIN(size, sizeof(key)));
    secret_free(pass, size);
    cipher = sector_cipher_new("aes", "cbc-plain64", key, sizeof(key), error);
    secret_wipe(key, sizeof(key));
    return cipher;
}

/* encrypt.key-secret and encrypt.format, which has to be the image's. */
static bool read_options(Qcow2 *s, Json *options, char **secret, GError **error)
{
    const char *name = s->crypt_method == QCOW2_CRYPT_LUKS ? "luks" : s->crypt_method == QCOW2_CRYPT_NONE ? "" : "aes";
    Json *encrypt = json_remove(options, "encrypt");
    g_autofree char *format = NULL;
    bool ok = true;

    if (encrypt) {
        ok = block_option_string(encrypt, "key-secret", secret, error) &&
             block_option_string(encrypt, "format", &format, error);
        if (ok && json_kind(encrypt) == JSON_OBJECT && json_count(encrypt)) {
            g_set_error(error, VM_ERROR, VM_ERROR_USER, "encrypt has no option '%s'", json_name_at(encrypt, 0));
            ok = false;
        }
        json_free(encrypt);
    }
    if (ok && format && strcmp(format, name)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "encrypt.format is '%s', but the image's is '%s'", format, name);
        return false;
    }
    return ok;
}

bool qcow2_crypt_open(Qcow2 *s, Json *options, unsigned flags, GError **error)
{
    bool need_key = !(flags & (BLOCK_OPEN_NO_IO | BLOCK_OPEN_CHECK));
    g_autofree char *secret = NULL;
    Crypt *crypt;

    if (!read_options(s, options, &secret, error)) {
        return false;
    }
    if (s->crypt_method == QCOW2_CRYPT_NONE || (s->crypt_method != QCOW2_CRYPT_LUKS && !need_key && !secret)) {
        return true;
    }
    crypt = g_new0(Crypt, 1);
    s->crypt = crypt;
    if (s->crypt_method == QCOW2_CRYPT_LUKS) {
        crypt->luks = luks_open(header_io, s, secret, need_key, error);
        return crypt->luks;
    }
    crypt->aes = open_aes(secret, error);
    return crypt->aes;
}

/* Room for the header of a new image, and the header in it. */
static bool create_luks(Qcow2 *s, Crypt *crypt, const LuksNew *what, GError **error)
{
    uint64_t clusters = (luks_new_size(what) + s->cluster_size - 1) / s->cluster_size;
    int failed = qcow2_alloc_exactly(s, clusters, &s->crypt_offset);

    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "no room for the LUKS header: %s", g_strerror(failed));
        return false;
    }
    s->crypt_length = luks_new_size(what);
    crypt->luks = luks_create(what, header_io, s, error);
    return crypt->luks;
}

bool qcow2_crypt_create(Qcow2 *s, unsigned method, const LuksNew *what, const char *secret, GError **error)
{
    Crypt *crypt = g_new0(Crypt, 1);
    int failed;

    s->crypt = crypt;
    if (method == QCOW2_CRYPT_LUKS) {
        if (!create_luks(s, crypt, what, error)) {
            return false;
        }
    } else {
        crypt->aes = open_aes(secret, error);
        if (!crypt->aes) {
            return false;
        }
    }
    s->crypt_method = method;
    s->image.encrypted = true;
    failed = qcow2_flush(s);
    failed = failed ? failed : qcow2_write_header(s);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write the header: %s", g_strerror(failed));
    }
    return !failed;
}

void qcow2_crypt_close(Qcow2 *s)
{
    Crypt *crypt = s->crypt;

    if (crypt) {
        luks_free(crypt->luks);
        sector_cipher_free(crypt->aes);
        g_free(crypt);
    }
}

int qcow2_encrypt(Qcow2 *s, uint64_t guest, uint64_t host, void *buf, size_t size)
{
    Crypt *crypt = s->crypt;

    return crypt->luks ? luks_encrypt(crypt->luks, host / SECTOR, buf, size)
                       : sector_cipher_run(crypt->aes, guest / SECTOR, buf, size, true);
}

int qcow2_decrypt(Qcow2 *s, uint64_t guest, uint64_t host, void *buf, size_t size)
{
    Crypt *crypt = s->crypt;

    return crypt->luks ? luks_decrypt(crypt->luks, host / SECTOR, buf, size)
                       : sector_cipher_run(crypt->aes, guest / SECTOR, buf, size, false);
}

void qcow2_crypt_info(Qcow2 *s, Json *specific)
{
    Crypt *crypt = s->crypt;
    Json *encrypt;

    if (s->crypt_method == QCOW2_CRYPT_NONE) {
        return;
    }
    encrypt = json_object();
    if (crypt && crypt->luks) {
        luks_info(crypt->luks, encrypt);
    }
    json_set_string(encrypt, "format", s->crypt_method == QCOW2_CRYPT_LUKS ? "luks" : "aes");
    json_set(specific, "encrypt", encrypt);
}
