/*
 * What a logical partition asks of its platform: hypercalls, RTAS calls and interrupt numbers.
 *
 * Devices offer calls here, the board takes them from the processors. A machine has one of each table. All of it runs
 * under the machine lock. Addresses of guests are real ones.
 */
#ifndef HW_PAPR_PAPR_H
#define HW_PAPR_PAPR_H

#include "core/line.h"
#include "core/memory.h"

#include <glib.h>

/* Return codes of hypercalls (LoPAPR, table 170). */
enum {
    H_SUCCESS = 0, H_BUSY = 1, H_CLOSED = 2, H_NOT_AVAILABLE = 3, H_PARTIAL = 5, H_HARDWARE = -1, H_FUNCTION = -2,
    H_PRIVILEGE = -3, H_PARAMETER = -4, H_PTEG_FULL = -6, H_NOT_FOUND = -7, H_NO_MEM = -9, H_AUTHORITY = -10,
    H_DROPPED = -12, H_DEST_PARM = -14, H_RESOURCE = -16, H_P2 = -55, H_P3 = -56, H_P4 = -57, H_P5 = -58,
    H_UNSUPPORTED = -67, H_UNSUPPORTED_FLAG = -256,
};

/* Numbers of hypercalls (LoPAPR, table 169), and of those between SLOF and the board from F000 on. */
enum {
    H_REMOVE = 0x04, H_ENTER = 0x08, H_READ = 0x0c, H_CLEAR_MOD = 0x10, H_CLEAR_REF = 0x14, H_PROTECT = 0x18,
    H_GET_TCE = 0x1c, H_PUT_TCE = 0x20, H_SET_SPRG0 = 0x24, H_SET_DABR = 0x28, H_PAGE_INIT = 0x2c,
    H_LOGICAL_CI_LOAD = 0x3c, H_LOGICAL_CI_STORE = 0x40, H_LOGICAL_CACHE_LOAD = 0x44, H_LOGICAL_CACHE_STORE = 0x48,
    H_LOGICAL_ICBI = 0x4c, H_LOGICAL_DCBF = 0x50, H_GET_TERM_CHAR = 0x54, H_PUT_TERM_CHAR = 0x58, H_EOI = 0x64,
    H_CPPR = 0x68, H_IPI = 0x6c, H_IPOLL = 0x70, H_XIRR = 0x74, H_REGISTER_VPA = 0xdc, H_CEDE = 0xe0, H_CONFER = 0xe4,
    H_PROD = 0xe8, H_REG_CRQ = 0xfc, H_FREE_CRQ = 0x100, H_VIO_SIGNAL = 0x104, H_SEND_CRQ = 0x108,
    H_REGISTER_LOGICAL_LAN = 0x114, H_FREE_LOGICAL_LAN = 0x118, H_ADD_LOGICAL_LAN_BUFFER = 0x11c,
    H_SEND_LOGICAL_LAN = 0x120, H_BULK_REMOVE = 0x124, H_MULTICAST_CTRL = 0x130, H_SET_XDABR = 0x134, H_STUFF_TCE = 0x138,
    H_PUT_TCE_INDIRECT = 0x13c, H_CHANGE_LOGICAL_LAN_MAC = 0x14c, H_ENABLE_CRQ = 0x1b0,
    H_GET_CPU_CHARACTERISTICS = 0x1c8, H_JOIN = 0x298, H_HOME_NODE_ASSOCIATIVITY = 0x2ec, H_XIRR_X = 0x2fc, H_RANDOM = 0x300,
    H_SET_MODE = 0x31c, H_CLEAR_HPT = 0x358, H_RESIZE_HPT_PREPARE = 0x36c, H_RESIZE_HPT_COMMIT = 0x370, H_REGISTER_PROC_TBL = 0x37c, H_SIGNAL_SYS_RESET = 0x380,
    H_INT_GET_SOURCE_INFO = 0x3a8, H_INT_SET_SOURCE_CONFIG = 0x3ac, H_INT_GET_SOURCE_CONFIG = 0x3b0,
    H_INT_GET_QUEUE_INFO = 0x3b4, H_INT_SET_QUEUE_CONFIG = 0x3b8, H_INT_GET_QUEUE_CONFIG = 0x3bc,
    H_INT_SET_OS_REPORTING_LINE = 0x3c0, H_INT_GET_OS_REPORTING_LINE = 0x3c4, H_INT_ESB = 0x3c8, H_INT_SYNC = 0x3cc,
    H_INT_RESET = 0x3d0,
    H_CALL_RTAS = 0xf000, H_CALL_MEMOP = 0xf001, H_CALL_CAS = 0xf002, H_CALL_UPDATE_DT = 0xf003, H_CALL_CLIENT = 0xf005,
};

#define PAPR_HCALL_ARGS 9

/* args: R4 to R12, of which the first ones are also results. Returns what goes to R3. */
typedef int64_t PaprHcallFn(void *opaque, uint64_t opcode, uint64_t args[PAPR_HCALL_ARGS]);
void papr_hcall_add(uint64_t opcode, PaprHcallFn *fn, void *opaque);
/* H_FUNCTION for a number that nobody offers. */
int64_t papr_hcall(uint64_t opcode, uint64_t args[PAPR_HCALL_ARGS]);
/* The processor that makes the call, as interrupt servers are numbered; 0 outside of calls. */
unsigned papr_server(void);

/* RTAS. Status words (LoPAPR, 7.2.8). */
enum { RTAS_OK = 0, RTAS_HARDWARE = -1, RTAS_BUSY = -2, RTAS_BAD = -3, RTAS_NOT_AUTHORIZED = -9002 };

#define PAPR_RTAS_WORDS 16 /* most arguments, and most results, of a call */

typedef struct PaprRtas {
    uint32_t args[PAPR_RTAS_WORDS], rets[PAPR_RTAS_WORDS]; /* rets[0] is the status that the function returns */
    unsigned nargs, nrets;
} PaprRtas;

typedef int32_t PaprRtasFn(void *opaque, PaprRtas *call);
/* name: of the list in hw/papr/rtas.def, from which its token follows. nargs, nrets: the least that it has. */
void papr_rtas_add(const char *name, unsigned nargs, unsigned nrets, PaprRtasFn *fn, void *opaque);
/* Runs the call whose argument buffer is at addr; H_PARAMETER if it is none. */
int64_t papr_rtas_call(PhysAddr addr);
/* For the tree: every call that somebody offers. */
void papr_rtas_for_each(void (*fn)(void *opaque, const char *name, uint32_t token), void *opaque);
uint32_t papr_rtas_token(const char *name); /* 0: nobody offers it */
/* Forgets all calls: tests. */
void papr_forget_calls(void);

/* For properties of the device tree. */
typedef void PaprPutProp(void *node, const char *name, const void *data, size_t size);

/* Interrupt sources. */
enum { PAPR_IRQ_FIRST = 0x1000, PAPR_IRQS = 0x1000 };
enum { PAPR_IRQ_EPOW = 0x1000, PAPR_IRQ_VIO = 0x1100, PAPR_IRQ_LSI = 0x1200, PAPR_IRQ_MSI = 0x1300 };
#define PAPR_SERVERS 256 /* most processors */

typedef enum PaprIrqKind { PAPR_IRQ_NONE, PAPR_IRQ_EDGE, PAPR_IRQ_LEVEL } PaprIrqKind;

/* A controller: what it does with sources; index counts from PAPR_IRQ_FIRST. */
typedef struct PaprIrqOps {
    void (*set_level)(void *opaque, unsigned index, bool level); /* of a PAPR_IRQ_LEVEL source, on changes */
    void (*trigger)(void *opaque, unsigned index);               /* of a PAPR_IRQ_EDGE source */
    void (*claimed)(void *opaque, unsigned index);               /* its kind changed; may be NULL */
} PaprIrqOps;

/* Which controller has the sources from now on. */
void papr_irq_use(const PaprIrqOps *ops, void *opaque);
void papr_irq_claim(uint32_t number, PaprIrqKind kind);
PaprIrqKind papr_irq_kind(uint32_t number); /* NONE also for what is no number of a source */
bool papr_irq_level(uint32_t number);
void papr_irq_set(uint32_t number, bool level);
void papr_irq_pulse(uint32_t number);

#endif
