/* Rows of special purpose registers: who may do what, and what happens then. */
#ifndef TARGET_PPC_SPR_H
#define TARGET_PPC_SPR_H

#include "target/ppc/internal.h"

/* Users, supervisor, hypervisor: reading, writing. */
enum { UR = 1, UW = 2, SR = 4, SW = 8, HR = 16, HW = 32 };
enum { USER = UR | UW | SR | SW, READ = UR | SR, SUPER = SR | SW, SUPER_READ = SR, HYPER = HR | HW };

typedef uint64_t ReadSpr(PpcState *s, unsigned n);
typedef void WriteSpr(PpcState *s, unsigned n, uint64_t value);

typedef struct SprRow {
    uint16_t first, count;
    uint8_t access;
    uint64_t isa; /* any of these; ISA_ALL */
    ReadSpr *read;   /* NULL: from spr[] */
    WriteSpr *write; /* NULL: to spr[] */
} SprRow;

/* Over the others, for the embedded processors (spr-booke.c). */
extern const SprRow ppc_booke_sprs[];
extern const size_t ppc_booke_sprs_count;

/* Writes what address translation derives from: the address space is another one then. */
void ppc_spr_write_translation(PpcState *s, unsigned n, uint64_t value);

/* ebb.c */
uint64_t ppc_bescr_read(PpcState *s, unsigned n);
void ppc_bescr_write(PpcState *s, unsigned n, uint64_t value);

#endif
