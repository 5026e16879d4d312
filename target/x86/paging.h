/* Page tables, shared by the guest's own paging (mmu.c) and the nested one below it (npt.c). */
#ifndef TARGET_X86_PAGING_H
#define TARGET_X86_PAGING_H

#include "target/x86/system.h"

enum {
    PTE_P = 1 << 0, PTE_W = 1 << 1, PTE_U = 1 << 2, PTE_A = 1 << 5, PTE_D = 1 << 6, PTE_PS = 1 << 7,
    PTE_G = 1 << 8,
};
#define PTE_NX (UINT64_C(1) << 63)
#define PTE_ADDR (X86_PHYS_MASK & ~UINT64_C(0xfff))

enum { PF_P = 1 << 0, PF_W = 1 << 1, PF_U = 1 << 2, PF_RSVD = 1 << 3, PF_I = 1 << 4, PF_PK = 1 << 5 };

/* Tables to be walked, and the modes that say how. */
typedef struct X86Tables {
    PhysAddr root;
    bool pae, lma, la57, pse, nx;
    bool nested;           /* the entries lie in a virtual machine's memory */
    const uint64_t *pdpte; /* PAE outside of long mode: NULL if they are read from memory */
} X86Tables;

/* The entries that a walk used, from the root down. */
typedef struct X86Walk {
    uint64_t entry[5];
    PhysAddr addr[5]; /* as the machine's memory has them */
    const void *host[5]; /* where they are in RAM; NULL: elsewhere */
    int depth;        /* entries in use */
    unsigned size;    /* of an entry in bytes */
} X86Walk;

/* What find_leaf says instead of an error code: the entry itself is not there; recorded in the state. */
#define WALK_NESTED_FAULT UINT32_MAX

/*
 * Follows the tables down to the leaf. Returns the number of page offset bits (12, 21, 22, 30), or 0
 * with *code set to what the error code says.
 */
unsigned x86_find_leaf(X86State *s, const X86Tables *t, VirtAddr addr, bool debug, X86Walk *w, uint32_t *code);
/* Sets the accessed bits of all entries, and the leaf's dirty bit; false: begin again, one has changed. */
bool x86_mark_entries(X86State *s, X86Walk *w, bool dirty);
/* The page's first byte of 4 KiB that a leaf with so many offset bits maps. */
PhysAddr x86_leaf_page(const X86Walk *w, unsigned bits, uint64_t addr);

/* npt.c: a page of a virtual machine's memory. */
typedef struct X86NestedPage {
    PhysAddr phys;
    bool readable, writable, executable; /* as in MmuResult */
} X86NestedPage;

typedef enum X86NestedUse { NESTED_TABLE, NESTED_FINAL } X86NestedUse;
/* False: a nested page fault, recorded in the state unless debug. */
bool x86_nested_page(X86State *s, PhysAddr addr, MmuAccess access, X86NestedUse use, bool debug, X86NestedPage *out);
/* Forgets what nested walks have found. */
void x86_nested_flush(X86State *s);

#endif
