/* Local APIC of a processor: what boards wire and what sends interrupts over the APIC bus. */
#ifndef HW_INTR_APIC_H
#define HW_INTR_APIC_H

#include "core/cpu.h"
#include "core/device.h"
#include "core/line.h"

#define APIC_BASE UINT64_C(0xfee00000)
#define APIC_SIZE 0x100000 /* of which the registers are the first page; the rest takes MSIs */

extern const DeviceType apic_type;
extern const CpuIntc apic_intc; /* with the device as opaque */

typedef enum ApicMode {
    APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_NMI = 4, APIC_INIT, APIC_STARTUP, APIC_EXTINT,
} ApicMode;

/* Before realize. Guest ticks to guest clock, for the TSC-deadline timer; NULL: there is none. */
typedef int64_t ApicTscToNs(Cpu *cpu, uint64_t tsc);
void apic_connect(Device *dev, Cpu *cpu, uint8_t id, ApicTscToNs *tsc_to_ns);
/* The INTA cycles of an external controller, for LINT0 in ExtINT mode. */
void apic_set_external(Device *dev, int (*acknowledge)(Device *pic), Device *pic);
Line *apic_lint(Device *dev, int n); /* after realize */
/* The registers, at APIC_BASE: each processor sees its own. */
Region *apic_region(void);

/* A message to one or more local APICs. */
typedef struct ApicMessage {
    uint8_t destination;
    bool logical;
    ApicMode mode;
    uint8_t vector;
    bool level;
} ApicMessage;
void apic_send(const ApicMessage *message);
/* The same as a message-signalled interrupt. */
uint64_t apic_msi_address(const ApicMessage *message);
uint32_t apic_msi_data(const ApicMessage *message);
/* A write of a message-signalled interrupt. */
void apic_send_msi(uint64_t address, uint32_t data);
/* Called when a processor ends a level-triggered interrupt, or that of the watched vector; machine lock held. */
typedef void ApicEoiFn(void *opaque, uint8_t vector);
void apic_on_eoi(ApicEoiFn *fn, void *opaque);
void apic_watch_eoi(int vector); /* -1: none */

#endif
