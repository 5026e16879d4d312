/* The state of Intel's 8255x family, shared by its registers and its two units. */
#ifndef HW_NET_I8255X_H
#define HW_NET_I8255X_H

#include "core/clock.h"
#include "hw/net/microwire.h"
#include "hw/net/nic.h"
#include "hw/pci/pci.h"

/* Bits of the STAT/ACK byte. */
enum { STAT_CX = 0x80, STAT_FR = 0x40, STAT_CNA = 0x20, STAT_RNR = 0x10, STAT_MDI = 0x08, STAT_SWI = 0x04 };
enum { CU_IDLE, CU_SUSPENDED, CU_ACTIVE };
enum { RU_IDLE, RU_SUSPENDED, RU_NO_RESOURCES, RU_READY = 4 };
/* Counters in the order of the dump. */
enum { COUNT_TX_GOOD = 0, COUNT_RX_GOOD = 9, COUNT_RX_RESOURCE = 12, COUNT_RX_SHORT = 15, I8255X_COUNTERS = 20 };
#define I8255X_CONFIG 22 /* bytes of the configure command that we look at */

#define I8255X_STATE(FIELD, ARRAY)                                                  \
    FIELD(uint8_t, stat, 0)                                                         \
    FIELD(uint8_t, mask, 0)                                                         \
    FIELD(uint32_t, pointer, 0)                                                     \
    FIELD(uint32_t, mdi, 0x10000000)                                                \
    FIELD(uint8_t, cu_state, CU_IDLE)                                               \
    FIELD(uint8_t, ru_state, RU_IDLE)                                               \
    FIELD(uint32_t, cu_base, 0)                                                     \
    FIELD(uint32_t, ru_base, 0)                                                     \
    FIELD(uint32_t, cu_at, 0) /* offset from the base: the command that is next, or suspended at */ \
    FIELD(uint32_t, ru_at, 0)                                                       \
    FIELD(uint32_t, dump, 0)  /* where counters go */                               \
    ARRAY(uint32_t, counter, I8255X_COUNTERS, 0)                                    \
    ARRAY(uint8_t, config, I8255X_CONFIG, 0)                                        \
    ARRAY(uint8_t, address, 6, 0)                                                   \
    FIELD(uint64_t, multicast, 0) /* a bit per hash */                              \
    ARRAY(uint16_t, phy, 32, 0)                                                     \
    ARRAY(uint16_t, eeprom, 64, 0)                                                  \
    ARRAY(uint16_t, eeprom_wires, MICROWIRE_WIRES, 0)                               \
    FIELD(uint8_t, eeprom_pins, 0)                                                  \
    ARRAY(uint8_t, plain, 64, 0) /* registers that only remember */

DEFINE_STATE(I8255xState, I8255X_STATE);

#define I8255X_PACKET 16384 /* bytes of one frame at most */

typedef struct I8255x {
    PciDevice pci;
    I8255xState s;
    Nic nic;
    Region *mmio, *ports, *flash;
    Timer *more; /* goes on with commands after the vCPU had a turn */
    bool in_cu;
    uint8_t packet[I8255X_PACKET];
} I8255x;

void i8255x_raise(I8255x *e, uint8_t stat);
void i8255x_link_changed(void *opaque, bool up);
extern const NetFrontend i8255x_frontend;

void i8255x_default_config(I8255x *e);
void i8255x_start_cu(I8255x *e, uint32_t at);
void i8255x_resume_cu(I8255x *e);
void i8255x_run_cu(void *opaque); /* an active unit goes on */
void i8255x_command_ru(I8255x *e, unsigned command);
void i8255x_dump_counters(I8255x *e, bool reset);

#endif
