/*
 * Interrupt controllers that an engine brings along: KVM's in the kernel.
 *
 * The devices in hw/intr and hw/timer stay what boards, monitors and snapshots see. While an engine has a chip's work, the
 * device brings the state home when somebody looks (DeviceType.fetch), and its update() hands it over again.
 */
#ifndef CORE_IRQCHIP_H
#define CORE_IRQCHIP_H

#include "core/cpu.h"

/* What a kernel has beside the local APICs; the state of each is the struct of <linux/kvm.h>. */
typedef enum IrqchipPart { IRQCHIP_PIC_MASTER, IRQCHIP_PIC_SLAVE, IRQCHIP_IOAPIC, IRQCHIP_PIT } IrqchipPart;

enum { APIC_PAGE_SIZE = 1024 };

/* A local APIC: its registers as its page has them (SDM volume 3, table 11-1), and the two that are MSRs. */
typedef struct ApicPage {
    uint8_t regs[APIC_PAGE_SIZE];
    uint64_t base, deadline;
} ApicPage;

typedef struct IrqchipOps {
    bool all; /* 8259, I/O APIC and 8254 too, not the local APICs alone */
    /* Global interrupt n: input n of the 8259 pair and of the I/O APIC, whose input 2 has interrupt 0. Any thread. */
    void (*set_line)(int gsi, bool level);
    void (*send_msi)(uint64_t address, uint32_t data); /* any thread */
    /* Without all: what a level-triggered entry of the I/O APIC sends, so that its end is reported. Address 0: nothing. */
    void (*route_pin)(int pin, uint64_t address, uint32_t data);
    /* What is written to the eventfd from now on is that message. Its route, or -1: it cannot be. NULL: never. */
    int (*connect)(int fd, uint64_t address, uint32_t data);
    void (*disconnect)(int route, int fd); /* messages under way have arrived when it returns */
    /* count_load_time is the age of the load in ns, by which it does not matter whether the machine stands. */
    void (*get)(IrqchipPart part, void *state);
    void (*set)(IrqchipPart part, void *state);
    void (*get_apic)(Cpu *cpu, ApicPage *page);
    void (*set_apic)(Cpu *cpu, const ApicPage *page);
} IrqchipOps;

extern const IrqchipOps *irqchip; /* of the engine in use; NULL: the devices do it all */

static inline bool irqchip_has_pic(void)
{
    return irqchip && irqchip->all;
}

/* Around a change of the engine, vCPUs standing: all state comes home, and goes to where it is wanted now. */
void irqchip_switch(const IrqchipOps *ops);

#endif
