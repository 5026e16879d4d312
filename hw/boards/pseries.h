/* The pseries board: its parts as its files share them. */
#ifndef HW_BOARDS_PSERIES_H
#define HW_BOARDS_PSERIES_H

#include "core/cpu.h"
#include "core/device.h"
#include "core/machine.h"
#include "hw/papr/papr.h"

#include <glib.h>

#define PSERIES_VECTOR5 32 /* bytes of option vector 5 that are negotiated */

/* What guests settle and change; `stopped` and `prodded` by processor. */
#define PSERIES_STATE(FIELD, ARRAY)               \
    FIELD(bool, use_xive, false) /* else XICS */  \
    FIELD(bool, use_radix, false) /* else hashed */ \
    FIELD(uint8_t, hpt_shift, 0)    /* of the page table's size */ \
    FIELD(uint8_t, hpt_place, 0)    /* which of its two places it has */ \
    FIELD(uint8_t, hpt_prepared, 0) /* size of one that may be taken; 0: there is none */ \
    ARRAY(uint8_t, vector5, PSERIES_VECTOR5, 0) /* [0]: how many bytes follow, less one */ \
    ARRAY(bool, stopped, PAPR_SERVERS, false)     \
    ARRAY(bool, prodded, PAPR_SERVERS, false)     \
    ARRAY(uint64_t, vpa, PAPR_SERVERS, 0)

DEFINE_STATE(PseriesState, PSERIES_STATE);

typedef struct Pseries {
    Device dev;
    PseriesState s;
    Bus *vio;
    Device *xics, *xive, *phb; /* xive: NULL without one */
    Region *hpt;
    unsigned hpt_shift; /* of the page table at a reset */
    bool resizes_hpt;   /* it may ask for another size */
    unsigned generation; /* of the processors as the guest sees them: 7: POWER7 ... */
    bool limited;        /* they are of a later one */
    bool can_radix, can_xive, only_xive; /* of the processor model and options */
    bool booted; /* it was reset before */
    bool has_screen; /* where firmware and kernel have their console then */
    /* Files, put into memory at each reset. */
    GBytes *firmware, *kernel, *initrd;
    GArray *segments; /* of the kernel: KernelSegment */
    uint64_t kernel_addr, kernel_size, kernel_entry, initrd_addr;
    bool kernel_little;
    bool own_firmware;  /* the client interface is ours: no SLOF */
} Pseries;

enum { PSERIES_TREE_MAX = 0x200000, PSERIES_PHANDLE_INTC = 0x1111, PSERIES_RTAS_SIZE = 0x1000 };
#define PSERIES_HPT     (UINT64_C(1) << 50) /* where processors find the table: guests can reach it in no mode */
#define PSERIES_TIMEBASE 512000000u

/*
 * pseries-tree.c: the device tree as a new blob, in its final size; the caller frees. One that does not start the machine, but
 * follows a negotiation, leaves out what boot loaders may have changed in /chosen.
 */
uint8_t *pseries_tree(Pseries *m, bool starting, size_t *size);
/* pseries-cpu.c: hypercalls and RTAS calls that change processors. */
void pseries_cpu_init(Pseries *m);
/* Where the first one starts, with its registers; the others wait for start-cpu. */
void pseries_cpu_start_at(Pseries *m, uint64_t pc, uint64_t r1, uint64_t r3, uint64_t r4, uint64_t r5);
void pseries_flush(void *opaque, uint64_t index, uint64_t v, uint64_t r); /* an HptFlushFn */
/* pseries-hpt.c: the hashed page table. */
bool pseries_hpt_init(Pseries *m, GError **error);
void pseries_hpt_reset(Pseries *m);
bool pseries_hpt_post_load(Pseries *m, GError **error);
uint64_t pseries_sdr1(const Pseries *m); /* what processors have in SDR1 */
unsigned pseries_generation(const Cpu *cpu); /* 7: POWER7 ...; 0: none of them */
/* pseries-cas.c: the negotiation. */
void pseries_cas_init(Pseries *m);
void pseries_cas_reset(Pseries *m);
int64_t pseries_negotiate(Pseries *m, PhysAddr vectors); /* settles the platform; an H_ code */
void pseries_use_platform(Pseries *m);
/* pseries-kernel.c: -bios, -kernel, -initrd. */
bool pseries_load_files(Pseries *m, GError **error);
void pseries_place_files(const Pseries *m);
/* pseries-client.c: the built-in Open Firmware client interface. Takes the tree; says where the processor starts. */
void pseries_client_init(Pseries *m);
void pseries_client_reset(Pseries *m, uint8_t *tree);

#endif
