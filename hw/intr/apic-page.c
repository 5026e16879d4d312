/* The local APIC's state as its page of registers, for an engine that does its work. SDM volume 3, table 11-1. */
#include "hw/intr/apic-internal.h"

#include "core/irqchip.h"
#include "util/bits.h"

enum {
    REG_ID = 0x20, REG_VERSION = 0x30, REG_TPR = 0x80, REG_LDR = 0xd0, REG_DFR = 0xe0, REG_SVR = 0xf0, REG_ISR = 0x100,
    REG_TMR = 0x180, REG_IRR = 0x200, REG_ESR = 0x280, REG_ICR = 0x300, REG_ICR_HIGH = 0x310, REG_LVT = 0x320,
    REG_INITIAL = 0x380, REG_CURRENT = 0x390, REG_DIVIDE = 0x3e0, REG_STEP = 0x10,
};

static uint32_t get(const ApicPage *page, unsigned reg)
{
    return load_le32(page->regs + reg);
}

static void put(ApicPage *page, unsigned reg, uint32_t value)
{
    store_le32(page->regs + reg, value);
}

static void put_bits(ApicPage *page, unsigned reg, const uint32_t bits[8])
{
    for (unsigned i = 0; i < 8; i++) {
        put(page, reg + i * REG_STEP, bits[i]);
    }
}

static void get_bits(const ApicPage *page, unsigned reg, uint32_t bits[8])
{
    for (unsigned i = 0; i < 8; i++) {
        bits[i] = get(page, reg + i * REG_STEP);
    }
}

void apic_to_page(Apic *apic)
{
    const ApicState *s = &apic->s;
    ApicPage page = { .base = s->base, .deadline = s->deadline };

    put(&page, REG_ID, s->base & BASE_X2APIC ? s->id : s->id << 24);
    put(&page, REG_VERSION, APIC_VERSION);
    put(&page, REG_TPR, s->tpr);
    put(&page, REG_LDR, s->ldr);
    put(&page, REG_DFR, s->dfr);
    put(&page, REG_SVR, s->svr);
    put_bits(&page, REG_ISR, s->isr);
    put_bits(&page, REG_TMR, s->tmr);
    put_bits(&page, REG_IRR, s->irr);
    put(&page, REG_ESR, s->esr);
    put(&page, REG_ICR, s->icr);
    put(&page, REG_ICR_HIGH, s->icr >> 32);
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        put(&page, REG_LVT + i * REG_STEP, s->lvt[i]);
    }
    put(&page, REG_INITIAL, s->initial);
    put(&page, REG_CURRENT, apic_timer_count(apic));
    put(&page, REG_DIVIDE, s->divide);
    irqchip->set_apic(apic->cpu, &page);
}

void apic_from_page(Device *dev)
{
    Apic *apic = (Apic *)dev;
    ApicState *s = &apic->s;
    ApicPage page = { 0 };

    if (!irqchip) {
        return;
    }
    irqchip->get_apic(apic->cpu, &page);
    s->base = page.base;
    s->deadline = page.deadline;
    s->id = s->base & BASE_X2APIC ? get(&page, REG_ID) : get(&page, REG_ID) >> 24;
    s->tpr = get(&page, REG_TPR);
    s->ldr = get(&page, REG_LDR);
    s->dfr = get(&page, REG_DFR);
    s->svr = get(&page, REG_SVR);
    get_bits(&page, REG_ISR, s->isr);
    get_bits(&page, REG_TMR, s->tmr);
    get_bits(&page, REG_IRR, s->irr);
    s->esr = get(&page, REG_ESR);
    s->icr = get(&page, REG_ICR) | (uint64_t)get(&page, REG_ICR_HIGH) << 32;
    for (unsigned i = 0; i < LVT_COUNT; i++) {
        s->lvt[i] = get(&page, REG_LVT + i * REG_STEP);
    }
    s->divide = get(&page, REG_DIVIDE) & 0xb;
    apic_timer_restore(apic, get(&page, REG_INITIAL), get(&page, REG_CURRENT));
}
