/*
 * Intel 82574L (e1000e): causes of interrupts, and how they reach the processor: wire, MSI, or MSI-X with five vectors.
 *
 * 82574 data sheet (317694), sections 7.4 and 10.2.4.
 */
#include "hw/net/e1000e.h"

#include "hw/pci/msi.h"

enum { FIRST_CAUSE = 20 };    /* RXQ0, RXQ1, TXQ0, TXQ1, OTHER: those with a vector */
enum { IVAR_VALID = 8 };
enum { OTHERS = INT_LSC | INT_RXDMT0 | INT_RXO | INT_MDAC | 1 << 3 | 1 << 16 | 1 << 17 | 1 << 18 };
enum { TICK = 256 };          /* ns, of throttling intervals */

static uint32_t pending(E1000e *e)
{
    return *reg(e, ICR) & *reg(e, IMS) & ~(uint32_t)INT_ASSERTED;
}

/* False: too early for another interrupt of this vector, and the timer will come back to it. */
static bool may_fire(E1000e *e, unsigned vector, uint32_t interval)
{
    int64_t now = clock_now(CLOCK_GUEST), at = e->s.allowed_at[vector];

    if (now < at && interval) {
        if (!timer_pending(e->throttle) || timer_deadline(e->throttle) > at) {
            timer_set(e->throttle, at);
        }
        return false;
    }
    e->s.allowed_at[vector] = now + (int64_t)(interval & 0xffff) * TICK;
    return true;
}

/* Sends a cause's message, once for each time that it comes up. */
static void update_vector(E1000e *e, unsigned n)
{
    uint32_t cause = 1u << (FIRST_CAUSE + n), route = *reg(e, IVAR) >> 4 * n;
    unsigned vector = route & 7;

    if (!(pending(e) & cause)) {
        e->s.announced &= ~cause;
        return;
    }
    if (!(route & IVAR_VALID) || vector >= E1000E_VECTORS || (e->s.announced & cause) ||
        !may_fire(e, vector, *reg(e, EITR + 4 * vector))) {
        return;
    }
    if (*reg(e, EIAC) & cause) {
        *reg(e, ICR) &= ~cause;
    } else {
        e->s.announced |= cause;
    }
    if (*reg(e, CTRL_EXT) & EXT_EIAME) {
        *reg(e, IMS) &= ~(*reg(e, IAM) & cause);
    }
    pci_msix_notify(&e->pci, vector);
}

/* All causes in one. */
static void update_single(E1000e *e)
{
    bool wanted = pending(e), msi = pci_msi_enabled(&e->pci);
    bool is_on = msi ? e->s.announced : e->pci.intx;

    if (wanted && !is_on && !may_fire(e, 0, *reg(e, ITR))) {
        return;
    }
    if (msi && wanted && !e->s.announced) {
        e->s.announced = INT_ASSERTED;
        pci_msi_notify(&e->pci, 0);
    }
    if (!wanted || !msi) {
        e->s.announced = 0;
    }
    pci_set_intx(&e->pci, wanted);
}

void e1000e_update(Device *dev)
{
    E1000e *e = (E1000e *)dev;

    if (pci_msix_enabled(&e->pci)) {
        for (unsigned n = 0; n < E1000E_VECTORS; n++) {
            update_vector(e, n);
        }
    } else {
        update_single(e);
    }
}

void e1000e_raise(E1000e *e, uint32_t causes)
{
    *reg(e, ICR) |= causes | (causes & OTHERS ? INT_OTHER : 0);
    e1000e_update(&e->pci.dev);
}

/* Section 10.2.4.1: a read clears if nothing is wanted, or if the interrupt is asserted; else it only shows. */
uint32_t e1000e_read_icr(E1000e *e)
{
    bool asserted = pending(e);
    uint32_t value = *reg(e, ICR) | (asserted ? (uint32_t)INT_ASSERTED : 0);

    if (asserted || !*reg(e, IMS)) {
        e1000e_acknowledge(e, UINT32_MAX);
    }
    return value;
}

void e1000e_acknowledge(E1000e *e, uint32_t causes)
{
    *reg(e, ICR) &= ~causes;
    if (*reg(e, CTRL_EXT) & EXT_IAME) {
        *reg(e, IMS) &= ~*reg(e, IAM);
    }
    e1000e_update(&e->pci.dev);
}
