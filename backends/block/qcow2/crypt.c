/* Encryption of qcow2 guest data: the seam to ciphers. */
#include "backends/block/qcow2/qcow2.h"
#include "util/error.h"

#include <errno.h>

bool qcow2_crypt_open(Qcow2 *s, Json *options, unsigned flags, GError **error)
{
    if (s->crypt_method == QCOW2_CRYPT_NONE || flags & (BLOCK_OPEN_NO_IO | BLOCK_OPEN_CHECK)) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "encrypted qcow2 images are not supported");
    return false;
}

void qcow2_crypt_close(Qcow2 *s)
{
}

int qcow2_encrypt(Qcow2 *s, uint64_t guest, uint64_t host, void *buf, size_t size)
{
    return ENOTSUP;
}

int qcow2_decrypt(Qcow2 *s, uint64_t guest, uint64_t host, void *buf, size_t size)
{
    return ENOTSUP;
}
