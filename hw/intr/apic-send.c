/* Messages between local APICs: destinations, delivery modes, INIT and start-up, MSIs. */
#include "core/irqchip.h"
#include "hw/intr/apic-internal.h"

#include "util/log.h"

enum { ICR_LOGICAL = 1 << 11, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15, ICR_SHORTHAND = 18 };
enum { MSI_LOGICAL = 1 << 2, MSI_ASSERT = 1 << 14, MSI_LEVEL = 1 << 15 }; /* of address, data, data */
enum { TO_DESTINATION, TO_SELF, TO_ALL, TO_OTHERS };

static ApicEoiFn *eoi_fn;
static void *eoi_opaque;
static int watched_vector = -1;

void apic_on_eoi(ApicEoiFn *fn, void *opaque)
{
    eoi_fn = fn;
    eoi_opaque = opaque;
}

void apic_watch_eoi(int vector)
{
    watched_vector = vector;
}

void apic_broadcast_eoi(uint8_t vector, bool level)
{
    if (eoi_fn && (level || vector == watched_vector)) {
        eoi_fn(eoi_opaque, vector);
    }
}

static bool is_x2apic(const Apic *apic)
{
    return apic->s.base & BASE_X2APIC;
}

/* What is 8 bits wide on the bus: all ones are a broadcast there. */
static uint32_t widen(uint8_t destination)
{
    return destination == 0xff ? UINT32_MAX : destination;
}

bool apic_is_target(const Apic *apic, uint32_t destination, bool logical)
{
    const ApicState *s = &apic->s;

    if (!(s->base & BASE_ENABLE)) {
        return false; /* off the bus */
    }
    if (destination == UINT32_MAX) {
        return true;
    }
    if (!logical) {
        return destination == s->id;
    }
    if (is_x2apic(apic)) {
        return s->ldr >> 16 == destination >> 16 && (s->ldr & destination & 0xffff);
    }
    if (s->dfr >> 28 == 0xf) {
        return s->ldr >> 24 & destination & 0xff;
    }
    return s->ldr >> 28 == destination >> 4 && (s->ldr >> 24 & destination & 15);
}

void apic_init(Apic *apic)
{
    ApicState *s = &apic->s, fresh;

    state_reset(apic_state_fields, &fresh);
    fresh.base = s->base;
    fresh.id = s->id;
    fresh.lint[0] = s->lint[0];
    fresh.lint[1] = s->lint[1];
    if (is_x2apic(apic)) {
        fresh.ldr = s->ldr; /* follows from the id */
    }
    *s = fresh;
    apic_update(&apic->dev);
}

static void deliver(Apic *apic, ApicMode mode, uint8_t vector, bool level)
{
    switch (mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        if (apic->s.svr & SVR_ENABLE) { /* else it is not accepted, and lost */
            apic_set_irr(apic, vector, level);
        }
        break;
    case APIC_SMI:
        cpu_request(apic->cpu, CPU_REQ_SMI);
        break;
    case APIC_NMI:
        cpu_request(apic->cpu, CPU_REQ_NMI);
        break;
    case APIC_INIT:
        cpu_clear_request(apic->cpu, CPU_REQ_SIPI);
        apic_init(apic);
        cpu_request(apic->cpu, CPU_REQ_INIT);
        break;
    case APIC_STARTUP:
        apic->cpu->sipi_vector = vector;
        cpu_request(apic->cpu, CPU_REQ_SIPI);
        break;
    case APIC_EXTINT:
        cpu_request(apic->cpu, CPU_REQ_INTR);
        break;
    }
}

/* Lowest priority: of those addressed, the one whose task priority is least; first come, if equal. */
static Apic *least_busy(uint32_t destination, bool logical)
{
    Apic *best = NULL;

    for (int n = 0; apics[n]; n++) {
        if (apic_is_target(apics[n], destination, logical) && (apics[n]->s.svr & SVR_ENABLE) &&
            (!best || apics[n]->s.tpr < best->s.tpr)) {
            best = apics[n];
        }
    }
    return best;
}

static void send_to(uint32_t destination, bool logical, ApicMode mode, uint8_t vector, bool level)
{
    if (mode == APIC_LOWEST) {
        Apic *apic = least_busy(destination, logical);

        if (apic) {
            deliver(apic, mode, vector, level);
        }
        return;
    }
    for (int n = 0; apics[n]; n++) {
        if (apic_is_target(apics[n], destination, logical)) {
            deliver(apics[n], mode, vector, level);
        }
    }
}

uint64_t apic_msi_address(const ApicMessage *message)
{
    return APIC_BASE | (uint64_t)message->destination << 12 | (message->logical ? MSI_LOGICAL : 0);
}

uint32_t apic_msi_data(const ApicMessage *message)
{
    return message->vector | message->mode << 8 | MSI_ASSERT | (message->level ? MSI_LEVEL : 0);
}

void apic_send(const ApicMessage *message)
{
    if (irqchip) {
        irqchip->send_msi(apic_msi_address(message), apic_msi_data(message));
        return;
    }
    send_to(widen(message->destination), message->logical, message->mode, message->vector, message->level);
}

void apic_send_msi(uint64_t address, uint32_t data)
{
    if (irqchip) {
        irqchip->send_msi(address, data);
        return;
    }
    send_to(widen(address >> 12), address & MSI_LOGICAL, data >> 8 & 7, data, data & MSI_LEVEL);
}

void apic_write_icr(Apic *apic)
{
    uint64_t icr = apic->s.icr;
    uint32_t destination = is_x2apic(apic) ? icr >> 32 : widen(icr >> 56);
    unsigned shorthand = icr >> ICR_SHORTHAND & 3;
    ApicMode mode = icr >> 8 & 7;
    uint8_t vector = icr;

    if (mode == APIC_INIT && !(icr & ICR_ASSERT) && (icr & ICR_LEVEL)) {
        return; /* INIT level de-assert only sets arbitration ids */
    }
    if (vector < 16 && (mode == APIC_FIXED || mode == APIC_LOWEST)) {
        apic_error(apic, ESR_SEND_VECTOR);
        return;
    }
    switch (shorthand) {
    case TO_DESTINATION:
        send_to(destination, icr & ICR_LOGICAL, mode, vector, false);
        break;
    case TO_SELF:
        deliver(apic, mode, vector, false);
        break;
    default:
        for (int n = 0; apics[n]; n++) {
            if (apic_is_target(apics[n], UINT32_MAX, false) && (shorthand == TO_ALL || apics[n] != apic)) {
                deliver(apics[n], mode, vector, false);
            }
        }
        break;
    }
}
