/*
 * Local APIC of a processor: registers, priorities and what reaches the processor.
 *
 * Manual: Intel 64 and IA-32 SDM, volume 3, chapter 11.
 */
#include "hw/intr/apic.h"

#include "core/irqchip.h"
#include "core/lock.h"
#include "hw/intr/apic-internal.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

enum {
    REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a, REG_EOI = 0x0b,
    REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20,
    REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR_HIGH = 0x31, REG_LVT = 0x32, REG_INITIAL = 0x38,
    REG_CURRENT = 0x39, REG_DIVIDE = 0x3e, REG_SELF = 0x3f,
};
enum { MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800, MSR_X2APIC_END = 0x840 };

Apic *apics[APIC_MAX + 1];

const StateField *apic_state_fields(size_t *count)
{
    typedef ApicState Owner;
    static const StateField rows[] = { APIC_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

/* ---- priorities ---- */

static int highest_bit(const uint32_t bits[8])
{
    for (int n = 7; n >= 0; n--) {
        if (bits[n]) {
            return n * 32 + 31 - __builtin_clz(bits[n]);
        }
    }
    return -1;
}

static bool get_bit(const uint32_t bits[8], uint8_t n)
{
    return bits[n / 32] >> n % 32 & 1;
}

static void put_bit(uint32_t bits[8], uint8_t n, bool on)
{
    bits[n / 32] = (bits[n / 32] & ~(1u << n % 32)) | (uint32_t)on << n % 32;
}

static uint8_t processor_priority(const ApicState *s)
{
    int serving = highest_bit(s->isr);

    return serving >= 0 && (serving & 0xf0) > (s->tpr & 0xf0) ? serving & 0xf0 : s->tpr;
}

/* The vector to deliver now, -1 if none. */
static int pending_vector(const ApicState *s)
{
    int wanted = s->svr & SVR_ENABLE ? highest_bit(s->irr) : -1;

    return wanted >= 0 && (wanted & 0xf0) > (processor_priority(s) & 0xf0) ? wanted : -1;
}

static unsigned lvt_mode(const ApicState *s, int n)
{
    return s->lvt[n] >> LVT_MODE_SHIFT & 7;
}

static bool enabled(const ApicState *s)
{
    return s->base & BASE_ENABLE;
}

/* The 8259's request: through LINT0, or past an APIC that is switched off. */
static bool external_pending(const ApicState *s)
{
    if (!enabled(s)) {
        return s->lint[0];
    }
    return s->lint[0] && !(s->lvt[LVT_LINT0] & LVT_MASKED) && lvt_mode(s, LVT_LINT0) == APIC_EXTINT;
}

static void drive_intr(Apic *apic)
{
    const ApicState *s = &apic->s;
    /* An engine that has the APIC asks for what comes from an 8259 only, when it can take it. */
    bool wanted = irqchip ? s->lint[0] : (enabled(s) && pending_vector(s) >= 0) || external_pending(s);

    if (wanted) {
        cpu_request(apic->cpu, CPU_REQ_INTR);
    } else {
        cpu_clear_request(apic->cpu, CPU_REQ_INTR);
    }
}

void apic_update(Device *dev)
{
    Apic *apic = (Apic *)dev;

    drive_intr(apic);
    if (irqchip) {
        apic_to_page(apic);
        timer_cancel(apic->timer);
    } else {
        apic_timer_arm(apic);
    }
}

void apic_error(Apic *apic, uint32_t bit)
{
    bool news = !(apic->s.esr_new & bit);

    apic->s.esr_new |= bit;
    if (news) {
        apic_fire_lvt(apic, LVT_ERROR);
    }
}

void apic_set_irr(Apic *apic, uint8_t vector, bool level)
{
    if (vector < 16) {
        apic_error(apic, ESR_RECEIVE_VECTOR);
        return;
    }
    put_bit(apic->s.irr, vector, true);
    put_bit(apic->s.tmr, vector, level);
    drive_intr(apic);
}

void apic_fire_lvt(Apic *apic, int n)
{
    ApicState *s = &apic->s;

    if (s->lvt[n] & LVT_MASKED) {
        return;
    }
    switch (n == LVT_TIMER || n == LVT_ERROR ? APIC_FIXED : lvt_mode(s, n)) {
    case APIC_FIXED:
        apic_set_irr(apic, s->lvt[n], n == LVT_LINT0 && (s->lvt[n] & LVT_LEVEL));
        break;
    case APIC_NMI:
        cpu_request(apic->cpu, CPU_REQ_NMI);
        break;
    case APIC_SMI:
        cpu_request(apic->cpu, CPU_REQ_SMI);
        break;
    }
}

static void pin_changed(void *opaque, int n, bool level)
{
    Apic *apic = opaque;

    apic->s.lint[n] = level;
    if (level && enabled(&apic->s) && lvt_mode(&apic->s, LVT_LINT0 + n) != APIC_EXTINT) {
        apic_fire_lvt(apic, LVT_LINT0 + n);
    }
    drive_intr(apic);
}

static void end_of_interrupt(Apic *apic)
{
    int vector = highest_bit(apic->s.isr);

    if (vector < 0) {
        return;
    }
    put_bit(apic->s.isr, vector, false);
    apic_broadcast_eoi(vector, get_bit(apic->s.tmr, vector));
    drive_intr(apic);
}

/* ---- what the processor asks ---- */

static int acknowledge(void *opaque)
{
    Apic *apic = opaque;
    int vector = enabled(&apic->s) && !irqchip ? pending_vector(&apic->s) : -1;

    if (irqchip) {
        vector = apic->s.lint[0] && apic->external ? apic->external(apic->pic) : -1;
    } else if (vector >= 0) {
        put_bit(apic->s.irr, vector, false);
        put_bit(apic->s.isr, vector, true);
    } else if (external_pending(&apic->s) && apic->external) {
        vector = apic->external(apic->pic);
    }
    drive_intr(apic);
    return vector;
}

static uint8_t get_tpr(void *opaque)
{
    return ((Apic *)opaque)->s.tpr >> 4;
}

static void set_tpr(void *opaque, uint8_t cr8)
{
    Apic *apic = opaque;
    bool taken = machine_lock_if();

    apic->s.tpr = cr8 << 4;
    drive_intr(apic);
    machine_unlock_if(taken);
}

static uint64_t get_base(void *opaque)
{
    return ((Apic *)opaque)->s.base;
}

/* Enabling goes off -> xAPIC -> x2APIC, and back only to off (SDM volume 3, 11.12.5). */
static bool set_base(void *opaque, uint64_t value)
{
    Apic *apic = opaque;
    ApicState *s = &apic->s;
    bool was_x2 = s->base & BASE_X2APIC, x2 = value & BASE_X2APIC, on = value & BASE_ENABLE;
    bool taken;

    if ((x2 && !on) || (was_x2 && on && !x2) || (x2 && !was_x2 && !enabled(s))) {
        return false;
    }
    taken = machine_lock_if();
    if ((value & ~UINT64_C(0xfff)) != APIC_BASE) {
        guest_error(apic->dev.id, "registers stay at their default address");
    }
    s->base = APIC_BASE | (value & (BASE_ENABLE | BASE_X2APIC)) | (s->base & BASE_BSP);
    if (x2 && !was_x2) {
        s->id = apic->initial_id;
        s->ldr = (uint32_t)(s->id >> 4) << 16 | 1u << (s->id & 15);
    }
    if (!on) {
        apic_init(apic);
    }
    apic_update(&apic->dev);
    machine_unlock_if(taken);
    return true;
}

/* ---- registers, numbered as in the x2APIC's MSRs ---- */

static uint32_t read_register(Apic *apic, unsigned reg)
{
    ApicState *s = &apic->s;
    bool x2 = s->base & BASE_X2APIC;

    switch (reg) {
    case REG_ID:
        return x2 ? s->id : s->id << 24;
    case REG_VERSION:
        return APIC_VERSION;
    case REG_TPR:
        return s->tpr;
    case REG_APR:
        return 0;
    case REG_PPR:
        return processor_priority(s);
    case REG_LDR:
        return s->ldr;
    case REG_DFR:
        return s->dfr;
    case REG_SVR:
        return s->svr;
    case REG_ISR ... REG_ISR + 7:
        return s->isr[reg - REG_ISR];
    case REG_TMR ... REG_TMR + 7:
        return s->tmr[reg - REG_TMR];
    case REG_IRR ... REG_IRR + 7:
        return s->irr[reg - REG_IRR];
    case REG_ESR:
        return s->esr;
    case REG_ICR:
        return s->icr;
    case REG_ICR_HIGH:
        return s->icr >> 32;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        return s->lvt[reg - REG_LVT];
    case REG_INITIAL:
        return s->initial;
    case REG_CURRENT:
        return apic_timer_read(apic);
    case REG_DIVIDE:
        return s->divide;
    default:
        return 0;
    }
}

static const uint32_t lvt_writable[LVT_COUNT] = { 0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff };

static void write_lvt(Apic *apic, int n, uint32_t value)
{
    ApicState *s = &apic->s;

    value &= lvt_writable[n];
    if (n == LVT_TIMER && !apic->tsc_to_ns) {
        value &= ~(uint32_t)LVT_DEADLINE;
    }
    if (!(s->svr & SVR_ENABLE)) {
        value |= LVT_MASKED;
    }
    if (n == LVT_TIMER) {
        apic_timer_set_lvt(apic, value);
    } else {
        s->lvt[n] = value;
    }
}

static void write_svr(ApicState *s, uint32_t value)
{
    s->svr = value & 0x1ff;
    for (int n = 0; n < LVT_COUNT && !(value & SVR_ENABLE); n++) {
        s->lvt[n] |= LVT_MASKED;
    }
}

static void write_register(Apic *apic, unsigned reg, uint32_t value)
{
    ApicState *s = &apic->s;
    bool x2 = s->base & BASE_X2APIC;

    switch (reg) {
    case REG_ID:
        s->id = x2 ? s->id : value >> 24;
        break;
    case REG_TPR:
        s->tpr = value;
        break;
    case REG_EOI:
        end_of_interrupt(apic);
        break;
    case REG_LDR:
        s->ldr = x2 ? s->ldr : value & 0xff000000;
        break;
    case REG_DFR:
        s->dfr = value | 0x0fffffff;
        break;
    case REG_SVR:
        write_svr(s, value);
        break;
    case REG_ESR:
        s->esr = s->esr_new;
        s->esr_new = 0;
        break;
    case REG_ICR:
        s->icr = (s->icr & ~UINT64_C(0xffffffff)) | (value & 0xccfff);
        apic_write_icr(apic);
        break;
    case REG_ICR_HIGH:
        s->icr = (s->icr & 0xffffffff) | (uint64_t)(value & 0xff000000) << 32;
        break;
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        write_lvt(apic, reg - REG_LVT, value);
        break;
    case REG_INITIAL:
        apic_timer_load(apic, value);
        break;
    case REG_DIVIDE:
        apic_timer_set_divide(apic, value & 0xb);
        break;
    case REG_SELF:
        if (x2) {
            apic_set_irr(apic, value, false);
        }
        break;
    }
    drive_intr(apic);
}

/* Reserved bits fault (SDM volume 3, 11.12.1.3); only the interrupt command register has more than 32 others. */
static bool msr_takes(unsigned reg, uint64_t value)
{
    switch (reg) {
    case REG_ICR:
        return !(value & 0xfff32000);
    case REG_TPR: case REG_SELF:
        return !(value >> 8);
    case REG_SVR:
        return !(value >> 10); /* bit 9, of older processors, does nothing */
    case REG_EOI: case REG_ESR:
        return value == 0;
    case REG_DIVIDE:
        return !(value & ~UINT64_C(0xb));
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        return !(value & ~(uint64_t)(lvt_writable[reg - REG_LVT] | LVT_PENDING | LVT_REMOTE_IRR));
    default:
        return !(value >> 32);
    }
}

/* Registers that an x2APIC lacks or that cannot be read or written that way fault. */
static bool msr_exists(unsigned reg, bool is_write)
{
    switch (reg) {
    case REG_ID: case REG_VERSION: case REG_PPR: case REG_LDR: case REG_CURRENT:
    case REG_ISR ... REG_IRR + 7:
        return !is_write;
    case REG_TPR: case REG_SVR: case REG_ESR: case REG_ICR: case REG_INITIAL: case REG_DIVIDE:
    case REG_LVT ... REG_LVT + LVT_COUNT - 1:
        return true;
    case REG_EOI: case REG_SELF:
        return is_write;
    default:
        return false;
    }
}

static bool read_msr(void *opaque, uint32_t msr, uint64_t *value)
{
    Apic *apic = opaque;
    bool taken;

    if (msr == MSR_TSC_DEADLINE && apic->tsc_to_ns) {
        *value = apic->s.deadline;
        return true;
    }
    if (msr < MSR_X2APIC || msr >= MSR_X2APIC_END || !(apic->s.base & BASE_X2APIC) ||
        !msr_exists(msr - MSR_X2APIC, false)) {
        return false;
    }
    taken = machine_lock_if();
    *value = msr == MSR_X2APIC + REG_ICR ? apic->s.icr : read_register(apic, msr - MSR_X2APIC);
    machine_unlock_if(taken);
    return true;
}

static bool write_msr(void *opaque, uint32_t msr, uint64_t value)
{
    Apic *apic = opaque;
    bool deadline = msr == MSR_TSC_DEADLINE && apic->tsc_to_ns;
    bool taken;

    if (!deadline && (msr < MSR_X2APIC || msr >= MSR_X2APIC_END || !(apic->s.base & BASE_X2APIC) ||
                      !msr_exists(msr - MSR_X2APIC, true) || !msr_takes(msr - MSR_X2APIC, value))) {
        return false;
    }
    taken = machine_lock_if();
    if (deadline) {
        apic_timer_set_deadline(apic, value);
    } else if (msr == MSR_X2APIC + REG_ICR) {
        apic->s.icr = value & UINT64_C(0xffffffff000ccfff);
        apic_write_icr(apic);
    } else {
        write_register(apic, msr - MSR_X2APIC, value);
    }
    machine_unlock_if(taken);
    return true;
}

static void ended(void *opaque, uint8_t vector)
{
    apic_broadcast_eoi(vector, true);
}

/* Once: it masks itself (SDM vol. 3, 11.5.1). */
static void perf_interrupt(void *opaque)
{
    Apic *apic = opaque;

    if (enabled(&apic->s)) {
        apic_fire_lvt(apic, LVT_PERF);
        apic->s.lvt[LVT_PERF] |= LVT_MASKED;
    }
}

const CpuIntc apic_intc = {
    .acknowledge = acknowledge,
    .get_tpr = get_tpr,
    .set_tpr = set_tpr,
    .get_base = get_base,
    .set_base = set_base,
    .read_msr = read_msr,
    .write_msr = write_msr,
    .perf_interrupt = perf_interrupt,
    .ended = ended,
};

/* ---- the memory window ---- */

/* Debuggers have no processor: they see the first one's. */
static Apic *current_apic(void)
{
    Cpu *cpu = cpu_current();

    for (int n = 0; cpu && apics[n]; n++) {
        if (apics[n]->cpu == cpu) {
            return apics[n];
        }
    }
    return apics[0];
}

/* Registers of the xAPIC; a debugger's accesses to others are no errors. */
static void check_register(Apic *apic, unsigned reg)
{
    bool exists = reg == REG_ID || reg == REG_VERSION || (reg >= REG_TPR && reg <= REG_ESR) || (reg >= REG_ICR && reg <= REG_CURRENT) ||
                  reg == REG_DIVIDE;

    if (!exists && cpu_current()) {
        apic_error(apic, ESR_REGISTER);
    }
}

static uint64_t window_read(void *opaque, PhysAddr offset, unsigned size)
{
    Apic *apic = current_apic();

    if (!enabled(&apic->s) || (apic->s.base & BASE_X2APIC)) {
        return UINT32_MAX; /* nobody answers */
    }
    if (offset >= 0x400 || (offset & 15) + size > 4) {
        return 0;
    }
    check_register(apic, offset >> 4);
    return read_register(apic, offset >> 4) >> 8 * (offset & 3);
}

/*
 * The first 16 bytes of a page hold no register: writes there are MSIs, wherever they come from. Registers and MSIs are
 * written 32 bits at a time (SDM volume 3, 11.4.1), MSIs with the upper half reserved; whoever fills this page as if it were
 * RAM sends none.
 */
static void window_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Apic *apic = current_apic();

    if (size != 4) {
        return;
    }
    if (offset >= 0x1000 || (offset & 0xfff) < 0x10) {
        if (!(value >> 16)) {
            apic_send_msi(APIC_BASE + offset, value);
        }
    } else if (offset < 0x400 && !(offset & 15) && enabled(&apic->s) &&
               !(apic->s.base & BASE_X2APIC)) {
        check_register(apic, offset >> 4);
        write_register(apic, offset >> 4, value);
    }
}

static const RegionOps window_ops = {
    .read = window_read,
    .write = window_write,
    .min_size = 1,
    .max_size = 4,
};

Region *apic_region(void)
{
    return region_new_io("apic", &window_ops, NULL, APIC_SIZE);
}

/* ---- the device ---- */

void apic_connect(Device *dev, Cpu *cpu, uint8_t id, ApicTscToNs *tsc_to_ns)
{
    Apic *apic = (Apic *)dev;

    apic->cpu = cpu;
    apic->initial_id = id;
    apic->tsc_to_ns = tsc_to_ns;
}

void apic_set_external(Device *dev, int (*pic_acknowledge)(Device *pic), Device *pic)
{
    ((Apic *)dev)->external = pic_acknowledge;
    ((Apic *)dev)->pic = pic;
}

Line *apic_lint(Device *dev, int n)
{
    return ((Apic *)dev)->pins[n];
}

static bool apic_realize(Device *dev, GError **error)
{
    Apic *apic = (Apic *)dev;
    int n = 0;

    while (apics[n]) {
        n++;
    }
    g_assert(n < APIC_MAX);
    apics[n] = apic;
    apic->s.id = apic->initial_id;
    apic->pins[0] = line_new(pin_changed, apic, 0);
    apic->pins[1] = line_new(pin_changed, apic, 1);
    apic->timer = timer_new(CLOCK_GUEST, apic_timer_expired, apic);
    return true;
}

/* The first processor starts with the 8259 wired through: firmware without an APIC just works. */
static void apic_reset(Device *dev)
{
    Apic *apic = (Apic *)dev;

    apic->s.id = apic->initial_id;
    if (apic == apics[0]) {
        apic->s.base |= BASE_BSP;
        apic->s.lvt[LVT_LINT0] = APIC_EXTINT << LVT_MODE_SHIFT;
    }
    apic->s.lint[0] = line_level(apic->pins[0]);
    apic->s.lint[1] = line_level(apic->pins[1]);
}

static bool apic_loaded(Device *dev, GError **error)
{
    int64_t started = ((Apic *)dev)->s.started;

    if (started < -((int64_t)UINT32_MAX << 7) || started > INT64_MAX / 2) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad timer of '%s'", dev->id);
        return false;
    }
    return true;
}

static void apic_describe(Device *dev, GString *text)
{
    const ApicState *s = &((Apic *)dev)->s;

    g_string_append_printf(text, "id=%u tpr=%02x ppr=%02x svr=%03x irr=%d isr=%d timer=%05x\n", s->id,
                           s->tpr, processor_priority(s), s->svr, highest_bit(s->irr),
                           highest_bit(s->isr), s->lvt[LVT_TIMER]);
}

const DeviceType apic_type = {
    .name = "apic",
    .about = "local APIC",
    .bus = "system",
    .size = sizeof(Apic),
    .state_at = offsetof(Apic, s),
    .state = apic_state_fields,
    .realize = apic_realize,
    .reset = apic_reset,
    .post_load = apic_loaded,
    .update = apic_update,
    .fetch = apic_from_page,
    .describe = apic_describe,
};
