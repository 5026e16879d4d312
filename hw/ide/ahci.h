/* Shared by the files of the AHCI controller: ports, command slots, FIS. */
#ifndef HW_IDE_AHCI_H
#define HW_IDE_AHCI_H

#include "core/dma.h"
#include "hw/ide/internal.h"
#include "hw/pci/pci.h"

#define AHCI_PORTS 6
#define AHCI_SLOTS 32

/* Port interrupt status. */
enum {
    IS_DHR = 1 << 0, IS_PS = 1 << 1, IS_SDB = 1 << 3, IS_DP = 1 << 5, IS_PC = 1 << 6, IS_PRC = 1 << 22, IS_OF = 1 << 24,
    IS_IF = 1 << 27, IS_HBF = 1 << 29, IS_TFE = 1 << 30,
};
enum {
    CMD_ST = 1 << 0, CMD_SUD = 1 << 1, CMD_POD = 1 << 2, CMD_CLO = 1 << 3, CMD_FRE = 1 << 4, CMD_FR = 1 << 14,
    CMD_CR = 1 << 15, CMD_ATAPI = 1 << 24, CMD_ICC = 15u << 28,
};

#define AHCI_STATE(FIELD, ARRAY)                                                \
    FIELD(uint32_t, ghc, 0)                                                     \
    FIELD(uint32_t, is, 0)                                                      \
    ARRAY(uint64_t, list, AHCI_PORTS, 0)     /* PxCLB */                        \
    ARRAY(uint64_t, received, AHCI_PORTS, 0) /* PxFB */                         \
    ARRAY(uint32_t, port_is, AHCI_PORTS, 0)                                     \
    ARRAY(uint32_t, port_ie, AHCI_PORTS, 0)                                     \
    ARRAY(uint32_t, cmd, AHCI_PORTS, 0)                                         \
    ARRAY(uint32_t, tfd, AHCI_PORTS, 0)                                         \
    ARRAY(uint32_t, sig, AHCI_PORTS, 0)                                         \
    ARRAY(uint32_t, sctl, AHCI_PORTS, 0)                                        \
    ARRAY(uint32_t, serr, AHCI_PORTS, 0)                                        \
    ARRAY(uint32_t, sact, AHCI_PORTS, 0)                                        \
    ARRAY(uint32_t, ci, AHCI_PORTS, 0)                                          \
    ARRAY(uint32_t, queued, AHCI_PORTS, 0)   /* slots that the drive has taken into its queue */ \
    ARRAY(bool, failed, AHCI_PORTS, false)   /* stopped by an error until ST is cleared */

typedef struct AhciState {
    AHCI_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
} AhciState;

typedef struct Ahci Ahci;
typedef struct AhciPort AhciPort;

/* A command header as it was fetched (AHCI 1.3.1, 4.2.2). */
typedef struct AhciHeader {
    uint32_t flags, prdtl;
    uint64_t table;
} AhciHeader;

/* A queued command. */
typedef struct AhciQueued {
    AhciPort *port;
    unsigned slot;
    uint32_t generation;
    uint64_t sector;
    bool is_write;
    DmaList list;
} AhciQueued;

struct AhciPort {
    Ahci *ahci;
    unsigned number;
    IdeChannel *ch;
    /* The command that goes through the channel. */
    int slot; /* -1: none */
    AhciHeader header;
    DmaList list;
    uint64_t position; /* bytes that moved */
    bool stepping;
    /* Queued ones. */
    AhciQueued queue[AHCI_SLOTS];
    uint32_t generation, in_flight;
    bool draining;  /* in_flight are of an older generation, and still use their slots' lists: nothing begins before their end */
    bool resetting; /* GHC.HR or PxSCTL waits for in_flight */
};

struct Ahci {
    PciDevice pci;
    AhciState s;
    Region *bar, *index_bar;
    AhciPort port[AHCI_PORTS];
    uint32_t index; /* of the index and data pair */
    bool builtin;   /* takes the drives of -drive if=ide */
    bool level;
};

void ahci_update(Ahci *a);
void ahci_raise(AhciPort *p, uint32_t bits);
/* ahci-command.c */
void ahci_run_port(AhciPort *p);   /* takes what is in PxCI */
void ahci_stop_port(AhciPort *p);  /* forgets what is under way */
void ahci_reset_drive(AhciPort *p); /* COMRESET: signature */
void ahci_port_quiet(AhciPort *p); /* the last queued command is done: ahci.c */
extern const IdeDmaOps ahci_dma_ops;

#endif
