/*
 * Client architecture support: what the operating system can do and what the platform can, settled once a boot.
 *
 * LoPAPR 1.1, B.6.2.3: pairs of processor versions, then option vectors. Vector 5, byte 23 has the interrupt controller
 * (0 XICS, 40h XIVE, 80h either), byte 24 the translation (0 hashed, 40h radix, 80h either, C0h switchable).
 */
#include "hw/boards/pseries.h"

#include "target/ppc/cpu.h"
#include "hw/papr/xics.h"
#include "hw/papr/xive.h"
#include "util/bits.h"
#include "util/log.h"

#include <string.h>

enum { VECTOR_5 = 5, BYTE_INTERRUPTS = 23, BYTE_MMU = 24, BYTE_HASH = 25, BYTE_RADIX = 26 };
enum { CHOICE = 0xc0, FIRST = 0x00, SECOND = 0x40, EITHER = 0x80, RADIX_GTSE = 0x40 };
enum { MAX_PVRS = 512, HEADER = 4, HEADER_VERSION = 1, VECTOR_MAX = 256 };

static uint8_t byte_at(PhysAddr addr)
{
    uint8_t byte;

    memory_read(memory_system(), addr, &byte, 1);
    return byte;
}

/* Skips the pairs of mask and version, of which the last has bits that its mask leaves out; 0: there is no end. */
static PhysAddr skip_versions(PhysAddr addr)
{
    for (int i = 0; i < MAX_PVRS; i++, addr += 8) {
        uint8_t pair[8];

        memory_read(memory_system(), addr, pair, sizeof(pair));
        if (~load_be32(pair) & load_be32(pair + 4)) {
            return addr + 8;
        }
    }
    return 0;
}

/* Reads option vector 5: bytes as the manual numbers them from 1 on. */
static bool read_vector5(PhysAddr addr, uint8_t bytes[VECTOR_MAX])
{
    int vectors;

    memset(bytes, 0, VECTOR_MAX);
    addr = skip_versions(addr);
    if (!addr) {
        return false;
    }
    vectors = byte_at(addr++) + 1;
    for (int n = 1; n <= vectors; n++) {
        int size = byte_at(addr++) + 1;

        for (int i = 1; n == VECTOR_5 && i <= size && i < VECTOR_MAX; i++) {
            bytes[i] = byte_at(addr + i - 1);
        }
        addr += size;
    }
    return true;
}

int64_t pseries_negotiate(Pseries *m, PhysAddr vectors)
{
    uint8_t guest[VECTOR_MAX];
    uint8_t interrupts, mmu;

    if (!read_vector5(vectors, guest)) {
        return H_PARAMETER;
    }
    trace("papr_cas", "interrupts %02x mmu %02x radix %02x", guest[BYTE_INTERRUPTS], guest[BYTE_MMU], guest[BYTE_RADIX]);
    interrupts = guest[BYTE_INTERRUPTS] & CHOICE;
    mmu = guest[BYTE_MMU] & CHOICE;
    if ((mmu == SECOND && !m->can_radix) || (interrupts == SECOND && !m->can_xive) || (interrupts == FIRST && m->only_xive)) {
        log_warn("the guest asks for %s, which this machine does not have",
                 mmu == SECOND && !m->can_radix ? "radix translation" : interrupts == SECOND ? "XIVE" : "XICS");
        return H_PARAMETER;
    }
    m->s.use_radix = m->can_radix && mmu != FIRST;
    m->s.use_xive = m->can_xive && interrupts != FIRST;
    memset(m->s.vector5, 0, sizeof(m->s.vector5));
    m->s.vector5[0] = BYTE_RADIX - 1;
    m->s.vector5[BYTE_INTERRUPTS] = m->s.use_xive ? SECOND : FIRST;
    m->s.vector5[BYTE_MMU] = m->s.use_radix ? SECOND : FIRST;
    m->s.vector5[BYTE_RADIX] = m->s.use_radix ? guest[BYTE_RADIX] & RADIX_GTSE : 0;
    pseries_use_platform(m);
    return H_SUCCESS;
}

void pseries_use_platform(Pseries *m)
{
    if (m->s.use_xive) {
        xics_leave(m->xics);
        xive_use(m->xive);
    } else {
        if (m->xive) {
            xive_leave(m->xive);
        }
        xics_use(m->xics);
    }
}

/* SLOF: vectors, buffer, its size -> the tree as it is now, behind a version word. */
static int64_t h_cas(void *opaque, uint64_t opcode, uint64_t *args)
{
    Pseries *m = opaque;
    int64_t result = pseries_negotiate(m, args[0]);
    g_autofree uint8_t *tree = NULL;
    uint8_t header[HEADER];
    size_t size;

    if (result != H_SUCCESS) {
        return result;
    }
    tree = pseries_tree(m, false, &size);
    if (args[2] < HEADER || size > args[2] - HEADER) {
        guest_error("cas", "the tree of %zu bytes does not fit into %" G_GUINT64_FORMAT, size, args[2]);
        return H_PARAMETER;
    }
    store_be32(header, HEADER_VERSION);
    memory_write(memory_system(), args[1], header, HEADER);
    memory_write(memory_system(), args[1] + HEADER, tree, size);
    return H_SUCCESS;
}

/* SLOF tells of the tree that it hands over: nobody here looks at it. */
static int64_t h_update_dt(void *opaque, uint64_t opcode, uint64_t *args)
{
    return H_SUCCESS;
}

void pseries_cas_init(Pseries *m)
{
    papr_hcall_add(H_CALL_CAS, h_cas, m);
    papr_hcall_add(H_CALL_UPDATE_DT, h_update_dt, m);
}

/* Until the guest says what it can, it gets what every guest knows. */
void pseries_cas_reset(Pseries *m)
{
    m->s.use_radix = m->can_radix;
    m->s.use_xive = m->only_xive;
    memset(m->s.vector5, 0, sizeof(m->s.vector5));
    pseries_use_platform(m);
}
