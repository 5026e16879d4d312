/* A memory operation's address, and the check of one that remembers its page: see emit_site.c. */
#ifndef TCG_X86_64_SITE_H
#define TCG_X86_64_SITE_H

#include <stdbool.h>
#include <stdint.h>

/* Address of a memory operation: base register (locked) and displacement. */
typedef struct Address {
    int reg;
    int32_t disp;
    unsigned size; /* 4: wraps at 32 bits */
    bool is_clean; /* and the register's bits 32-63 are zero */
    bool is_wide;  /* 64-bit sums will do for the check: what should have wrapped, or is not clean, is on no page */
    bool is_site;  /* mostly on the same page: see emit_site.c */
    bool is_late;  /* it is this constant, which reg does not have yet: only what is out of line needs it there */
    int32_t value;
    bool by_page;       /* all of it is to be on one page */
    bool on_known_page; /* that is so, and `page` tells entries apart */
    uint64_t page; /* of a constant, or of its distance from the code's page */
    uint8_t span;  /* nonzero: so many bytes are checked instead, from this pinned register and displacement: see emit_span.c */
    int8_t span_reg;
    int32_t span_disp;
} Address;

/* The check of a site, for what of it is out of line. */
typedef struct Site {
    uint32_t jump; /* 0: none */
    uint32_t retry; /* where the check begins */
    Address addr;
    bool is_store;
    int8_t t1;
    struct TcgSiteUse *use;
} Site;

#endif
