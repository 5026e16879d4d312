/*
 * 82077AA floppy controller of the PC/AT with up to two drives.
 *
 * Manual: Intel 82077AA data sheet (290166), AT mode. Seeks take little time but end on their own;
 * the change line of a drive stays up until its head steps while a medium is in it.
 */
#include "hw/block/fdc-internal.h"

#include "core/machine.h"
#include "hw/dma/i8237.h"
#include "util/error.h"
#include "util/log.h"

#include <string.h>

enum { REG_DOR = 2, REG_TDR, REG_MSR, REG_FIFO, REG_DIR = 7 };
enum { MSR_BUSY = 0x10, MSR_NO_DMA = 0x20, MSR_TO_GUEST = 0x40, MSR_READY = 0x80 };
enum { DSR_RESET = 0x80 };
enum { ST1_OVERRUN = 0x10 };
enum { ST0_ABNORMAL = 0x40, ST0_INVALID = 0x80, ST0_CHANGED = 0xc0, ST0_SEEK_END = 0x20, ST0_CHECK = 0x10 };
enum { ST3_ALWAYS = 0x28, ST3_TRACK_0 = 0x10, ST3_PROTECTED = 0x40 };
enum { LAST_TRACK = 84, RECALIBRATE_STEPS = 79, POLLED_DRIVES = 4 };
enum { VERSION_ENHANCED = 0x90 };
enum { FIFO_SIZE = 16 };

#define RESET_DELAY (30 * NS_PER_US)
#define STEP_TIME   (20 * NS_PER_US)
#define SEEK_TIME   (300 * NS_PER_US)
/* Without DMA a command that asks for more than the driver wants ends when nobody takes its bytes. The disk would
 * not wait this long; a vCPU may have to. Meanwhile a driver that took a FIFO's worth gets the next interrupts. */
#define FIFO_DELAY (2 * NS_PER_MS)
enum { FIFO_INTERRUPTS = 25 };

static const StateField *FdcState_fields(size_t *count)
{
    typedef FdcState Owner;
    static const StateField rows[] = { FDC_STATE(STATE_ROW, STATE_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

FloppyType fdc_drive_type(const Device *dev, int unit)
{
    return unit >= 0 && unit < FDC_UNITS ? ((const Fdc *)dev)->type[unit] : FLOPPY_NONE;
}

/* The DRQ pin works; otherwise data waits in the FIFO for ever. */
bool fdc_uses_dma(const Fdc *fdc)
{
    return !(fdc->s.specify[1] & SPECIFY_NO_DMA) && (fdc->s.dor & DOR_DMA_GATE) && isa_dma() &&
           fdc->isa.dma != ISA_NONE;
}

static bool moves_data(const FdcState *s)
{
    return s->phase == FDC_IN || s->phase == FDC_OUT;
}

static bool data_through_fifo(const FdcState *s)
{
    return moves_data(s) && (s->specify[1] & SPECIFY_NO_DMA);
}

static void arm_timer(Fdc *fdc)
{
    int64_t first = fdc->s.deadline;

    for (int n = 0; n < FDC_DRIVES; n++) {
        int64_t t = fdc->s.seek_until[n];

        if (t >= 0 && (first < 0 || t < first)) {
            first = t;
        }
    }
    if (first >= 0) {
        timer_set(fdc->timer, first);
    } else {
        timer_cancel(fdc->timer);
    }
}

void fdc_update(Device *dev)
{
    Fdc *fdc = (Fdc *)dev;
    FdcState *s = &fdc->s;

    if (data_through_fifo(s) && s->deadline < 0) {
        s->deadline = clock_now(CLOCK_GUEST) + FIFO_DELAY;
    }
    arm_timer(fdc);
    line_set(isa_irq(fdc->isa.irq), (s->irq || data_through_fifo(s)) && (s->dor & DOR_DMA_GATE));
    if (s->phase == FDC_FETCH || s->phase == FDC_STORE) {
        fdc_start_io(fdc);
    }
    if (isa_dma() && fdc->isa.dma != ISA_NONE) {
        uint8_t phase = s->phase;

        /* This may run the channel, and that end the phase. */
        i8237_request(isa_dma(), fdc->isa.dma, moves_data(s) && fdc_uses_dma(fdc));
        if (phase == s->phase && moves_data(s)) {
            fdc_run_dma(fdc);
            if (phase != s->phase) {
                fdc_update(dev);
            }
        }
    }
}

static void dma_ready(void *opaque)
{
    Fdc *fdc = opaque;
    uint8_t phase = fdc->s.phase;

    fdc_run_dma(fdc);
    if (phase != fdc->s.phase) {
        fdc_update(&fdc->isa.dev);
    }
}

/* ---- results ---- */

static uint8_t unit_and_head(const FdcState *s)
{
    return (s->command[1] & 3) | (s->head & 1) << 2;
}

static void give_result(FdcState *s, unsigned size)
{
    s->result_size = size;
    s->result_at = 0;
    s->phase = FDC_RESULT;
}

static void end_command(FdcState *s)
{
    s->phase = FDC_COMMAND;
    s->command_size = 0;
}

void fdc_finish(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    uint8_t *r = s->result;

    r[0] = unit_and_head(s) | (s->st1 ? ST0_ABNORMAL : 0);
    r[1] = s->st1;
    r[2] = s->st2;
    r[3] = s->cylinder;
    r[4] = s->head;
    r[5] = s->sector;
    r[6] = 2; /* all sectors have 128 << 2 bytes */
    give_result(s, 7);
    s->irq = true;
    s->deadline = -1;
}

void fdc_finish_later(Fdc *fdc, int64_t ns)
{
    fdc->s.phase = FDC_DELAY;
    fdc->s.deadline = clock_now(CLOCK_GUEST) + ns;
}

/* ---- reset ---- */

/* Whatever goes on ends without a result. */
static void abort_command(Fdc *fdc)
{
    FdcState *s = &fdc->s;

    fdc->operation++;
    end_command(s);
    s->irq = false;
    s->reset_senses = 0;
    s->deadline = -1;
    for (int n = 0; n < FDC_DRIVES; n++) {
        s->seek_until[n] = -1;
        s->seek_done[n] = false;
    }
    if (!s->locked) {
        s->configure = FDC_NO_FIFO;
        s->precompensation = 0;
    }
    s->perpendicular &= ~3;
}

static void leave_reset(Fdc *fdc)
{
    fdc->s.phase = FDC_STARTING;
    fdc->s.deadline = clock_now(CLOCK_GUEST) + RESET_DELAY;
}

static void started(FdcState *s)
{
    end_command(s);
    if (!(s->configure & FDC_NO_POLL)) {
        s->reset_senses = POLLED_DRIVES;
        s->irq = true;
    }
}

/* ---- seeks ---- */

static void begin_seek(Fdc *fdc, int unit, int target, uint8_t st0)
{
    FdcState *s = &fdc->s;
    int distance = ABS(target - s->track[unit]);

    s->seek_done[unit] = false;
    s->seek_until[unit] = clock_now(CLOCK_GUEST) + SEEK_TIME + distance * STEP_TIME;
    s->seek_st0[unit] = st0 | ST0_SEEK_END | unit;
    if (distance && fdc_medium(fdc, unit)) {
        s->changed[unit] = false;
    }
    s->track[unit] = target;
    end_command(s);
}

static void seek(Fdc *fdc)
{
    FdcState *s = &fdc->s;

    begin_seek(fdc, s->command[1] & 3, MIN(s->command[2], LAST_TRACK), s->command[1] & 4);
}

/* The direction is bit 6 of the command: up when set. */
static void relative_seek(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    int now = s->track[s->command[1] & 3], by = s->command[2];

    begin_seek(fdc, s->command[1] & 3, CLAMP(s->command[0] & 0x40 ? now + by : now - by, 0, LAST_TRACK),
               s->command[1] & 4);
}

static void recalibrate(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    int unit = s->command[1] & 3, track = s->track[unit];

    if (unit >= FDC_UNITS || !fdc->type[unit]) { /* nobody says "track 0" */
        begin_seek(fdc, unit, 0, ST0_ABNORMAL | ST0_CHECK);
    } else if (track > RECALIBRATE_STEPS) {
        begin_seek(fdc, unit, track - RECALIBRATE_STEPS, ST0_ABNORMAL | ST0_CHECK);
    } else {
        begin_seek(fdc, unit, 0, 0);
    }
}

static void timer_expired(void *opaque)
{
    Fdc *fdc = opaque;
    FdcState *s = &fdc->s;
    int64_t now = clock_now(CLOCK_GUEST);

    for (int n = 0; n < FDC_DRIVES; n++) {
        if (s->seek_until[n] >= 0 && s->seek_until[n] <= now) {
            s->seek_until[n] = -1;
            s->seek_done[n] = true;
            s->irq = true;
        }
    }
    if (s->deadline >= 0 && s->deadline <= now) {
        s->deadline = -1;
        if (s->phase == FDC_STARTING) {
            started(s);
        } else if (s->phase == FDC_DELAY) {
            fdc_finish(fdc);
        } else if (data_through_fifo(s)) {
            if (++s->ignored == FIFO_INTERRUPTS) {
                s->st1 |= ST1_OVERRUN;
                fdc_finish(fdc);
            }
            line_set(isa_irq(fdc->isa.irq), false); /* fdc_update makes an edge */
        }
    }
    fdc_update(&fdc->isa.dev);
}

/* ---- commands without data ---- */

static void invalid(Fdc *fdc)
{
    fdc->s.result[0] = ST0_INVALID;
    give_result(&fdc->s, 1);
}

static void sense_interrupt(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    bool more = false;

    s->irq = false;
    if (s->reset_senses) {
        int unit = POLLED_DRIVES - s->reset_senses--;

        s->result[0] = ST0_CHANGED | unit;
        s->result[1] = s->track[unit];
        give_result(s, 2);
        return;
    }
    s->result_size = 0;
    for (int n = 0; n < FDC_DRIVES; n++) {
        if (s->seek_done[n] && !s->result_size) {
            s->seek_done[n] = false;
            s->result[0] = s->seek_st0[n];
            s->result[1] = s->track[n];
            give_result(s, 2);
        } else {
            more |= s->seek_done[n];
        }
    }
    s->irq = more;
    if (!s->result_size) {
        invalid(fdc);
    }
}

static void sense_drive(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    int unit = s->command[1] & 3;
    uint8_t st3 = ST3_ALWAYS | (s->command[1] & 7);

    if (unit < FDC_UNITS && fdc->type[unit] && s->track[unit] == 0) {
        st3 |= ST3_TRACK_0;
    }
    if (fdc_medium(fdc, unit) && block_readonly(fdc->blk[unit])) {
        st3 |= ST3_PROTECTED;
    }
    s->result[0] = st3;
    give_result(s, 1);
}

static void specify(Fdc *fdc)
{
    memcpy(fdc->s.specify, fdc->s.command + 1, 2);
    end_command(&fdc->s);
}

static void configure(Fdc *fdc)
{
    fdc->s.configure = fdc->s.command[2] & 0x7f;
    fdc->s.precompensation = fdc->s.command[3];
    end_command(&fdc->s);
}

/* Without OW (bit 7) the bits of the drives stay as they are. */
static void perpendicular(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    uint8_t value = s->command[1];

    s->perpendicular = (value & 3) | ((value & 0x80 ? value : s->perpendicular) & 0x3c);
    end_command(s);
}

static void lock(Fdc *fdc)
{
    FdcState *s = &fdc->s;

    s->locked = s->command[0] & 0x80;
    s->result[0] = s->locked << 4;
    give_result(s, 1);
}

static void version(Fdc *fdc)
{
    fdc->s.result[0] = VERSION_ENHANCED;
    give_result(&fdc->s, 1);
}

static void dump_registers(Fdc *fdc)
{
    FdcState *s = &fdc->s;

    memcpy(s->result, s->track, 4);
    memcpy(s->result + 4, s->specify, 2);
    s->result[6] = s->command[6]; /* EOT of the last data command */
    s->result[7] = s->locked << 7 | s->perpendicular;
    s->result[8] = s->configure;
    s->result[9] = s->precompensation;
    give_result(s, 10);
}

typedef struct Command {
    uint8_t mask, value, size;
    void (*run)(Fdc *fdc);
} Command;

static const Command commands[] = {
    { 0x1f, 0x06, 9, fdc_begin_read },   /* READ DATA */
    { 0x1f, 0x0c, 9, fdc_begin_read },   /* READ DELETED DATA */
    { 0x9f, 0x02, 9, fdc_begin_read },   /* READ TRACK */
    { 0x1f, 0x16, 9, fdc_begin_read },   /* VERIFY */
    { 0x3f, 0x05, 9, fdc_begin_write },  /* WRITE DATA */
    { 0x3f, 0x09, 9, fdc_begin_write },  /* WRITE DELETED DATA */
    { 0x1f, 0x11, 9, fdc_begin_scan },   /* SCAN EQUAL */
    { 0x1f, 0x19, 9, fdc_begin_scan },   /* SCAN LOW OR EQUAL */
    { 0x1f, 0x1d, 9, fdc_begin_scan },   /* SCAN HIGH OR EQUAL */
    { 0xbf, 0x0d, 6, fdc_begin_format }, /* FORMAT TRACK */
    { 0xbf, 0x0a, 2, fdc_read_id },      /* READ ID */
    { 0xff, 0x07, 2, recalibrate },      { 0xff, 0x0f, 3, seek },
    { 0xbf, 0x8f, 3, relative_seek },    { 0xff, 0x08, 1, sense_interrupt },
    { 0xff, 0x04, 2, sense_drive },      { 0xff, 0x03, 3, specify },
    { 0xff, 0x13, 4, configure },        { 0xff, 0x12, 2, perpendicular },
    { 0x7f, 0x14, 1, lock },             { 0xff, 0x10, 1, version },
    { 0xff, 0x0e, 1, dump_registers },   { 0x00, 0x00, 1, invalid },
};

static const Command *find_command(uint8_t opcode)
{
    const Command *c = commands;

    while ((opcode & c->mask) != c->value) {
        c++;
    }
    return c;
}

static void command_byte(Fdc *fdc, uint8_t value)
{
    FdcState *s = &fdc->s;
    const Command *c;

    s->command[s->command_size++] = value;
    c = find_command(s->command[0]);
    if (s->command_size < c->size) {
        return;
    }
    trace("fdc_command", "%02x %02x %02x %02x %02x %02x %02x", s->command[0], s->command[1],
          s->command[2], s->command[3], s->command[4], s->command[5], s->command[6]);
    s->st1 = s->st2 = 0;
    s->terminal = false;
    s->at = 0;
    c->run(fdc);
}

/* ---- registers ---- */

static uint8_t read_msr(const FdcState *s)
{
    uint8_t value = 0;

    if (!(s->dor & DOR_RUN) || s->phase == FDC_STARTING) {
        return 0;
    }
    for (int n = 0; n < FDC_DRIVES; n++) {
        value |= (s->seek_until[n] >= 0) << n;
    }
    switch (s->phase) {
    case FDC_COMMAND:
        return value | MSR_READY | (s->command_size ? MSR_BUSY : 0);
    case FDC_RESULT:
        return value | MSR_READY | MSR_TO_GUEST | MSR_BUSY;
    case FDC_IN:
        value |= MSR_TO_GUEST;
        break;
    default:
        break;
    }
    /* Between sectors, too: a driver takes its absence for the end of the data. */
    value |= s->specify[1] & SPECIFY_NO_DMA ? MSR_NO_DMA : 0;
    return value | MSR_BUSY | (data_through_fifo(s) ? MSR_READY : 0);
}

/* Each byte is an interrupt of its own without FIFO. Our FIFO is filled faster than a driver empties it: no more interrupts
 * until the sector ends, unless the driver stops. */
static void end_fifo_interrupt(Fdc *fdc)
{
    FdcState *s = &fdc->s;

    if (!moves_data(s) || (s->configure & FDC_NO_FIFO)) {
        line_set(isa_irq(fdc->isa.irq), false);
    }
    s->ignored = 0;
    if (s->phase != FDC_DELAY && s->at % FIFO_SIZE == 0) {
        s->deadline = -1; /* again from now on */
    }
}

static uint8_t read_fifo(Fdc *fdc)
{
    FdcState *s = &fdc->s;
    uint8_t value = 0;

    if (s->phase == FDC_RESULT) {
        value = s->result[s->result_at++];
        if (s->result_size == 7) { /* SENSE INTERRUPT ends the interrupts of seeks */
            s->irq = false;
        }
        if (s->result_at == s->result_size) {
            end_command(s);
        }
    } else if (s->phase == FDC_IN && data_through_fifo(s)) {
        value = fdc_read_data(fdc);
        end_fifo_interrupt(fdc);
    }
    fdc_update(&fdc->isa.dev);
    return value;
}

static void write_fifo(Fdc *fdc, uint8_t value)
{
    FdcState *s = &fdc->s;

    if (!(s->dor & DOR_RUN)) {
        return;
    }
    if (s->phase == FDC_COMMAND) {
        command_byte(fdc, value);
    } else if (s->phase == FDC_OUT && data_through_fifo(s)) {
        fdc_write_data(fdc, value);
        end_fifo_interrupt(fdc);
    } else {
        guest_error(fdc->isa.dev.id, "byte %02x written while none was asked for", value);
    }
    fdc_update(&fdc->isa.dev);
}

static void write_dor(Fdc *fdc, uint8_t value)
{
    FdcState *s = &fdc->s;
    bool was_running = s->dor & DOR_RUN;

    s->dor = value;
    if (was_running && !(value & DOR_RUN)) {
        abort_command(fdc);
    } else if (!was_running && (value & DOR_RUN)) {
        leave_reset(fdc);
    }
    fdc_update(&fdc->isa.dev);
}

static void write_dsr(Fdc *fdc, uint8_t value)
{
    fdc->s.rate = value & 3;
    if ((value & DSR_RESET) && (fdc->s.dor & DOR_RUN)) {
        abort_command(fdc);
        leave_reset(fdc);
    }
    fdc_update(&fdc->isa.dev);
}

static uint64_t fdc_read(void *opaque, PhysAddr offset, unsigned size)
{
    Fdc *fdc = opaque;
    FdcState *s = &fdc->s;
    int unit = s->dor & 3;

    switch (offset) {
    case REG_DOR:
        return s->dor;
    case REG_TDR:
        return s->tdr;
    case REG_MSR:
        return read_msr(s);
    case REG_FIFO:
        return read_fifo(fdc);
    case REG_DIR:
        return unit < FDC_UNITS && fdc->type[unit] && s->changed[unit] ? 0x80 : 0;
    default: /* SRA and SRB do not answer in AT mode */
        return 0xff;
    }
}

static void fdc_write(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    Fdc *fdc = opaque;

    switch (offset) {
    case REG_DOR:
        write_dor(fdc, value);
        break;
    case REG_TDR:
        fdc->s.tdr = value & 3;
        break;
    case REG_MSR:
        write_dsr(fdc, value);
        break;
    case REG_FIFO:
        write_fifo(fdc, value);
        break;
    case REG_DIR: /* the configuration control register */
        fdc->s.rate = value & 3;
        break;
    default:
        break;
    }
}

static uint64_t fdc_read_high(void *opaque, PhysAddr offset, unsigned size)
{
    return fdc_read(opaque, REG_DIR, size);
}

static void fdc_write_high(void *opaque, PhysAddr offset, uint64_t value, unsigned size)
{
    fdc_write(opaque, REG_DIR, value, size);
}

static const RegionOps fdc_ops = { fdc_read, fdc_write, 1, 1, ENDIAN_LITTLE };
static const RegionOps high_ops = { fdc_read_high, fdc_write_high, 1, 1, ENDIAN_LITTLE };

/* ---- the device ---- */

static void set_changed(Fdc *fdc, int unit)
{
    fdc->s.changed[unit] = true;
    memset(fdc->s.deleted + unit * FDC_MARKS, 0, FDC_MARKS);
}

static void changed_a(void *opaque, bool loaded)
{
    set_changed(opaque, 0);
}

static void changed_b(void *opaque, bool loaded)
{
    set_changed(opaque, 1);
}

static const BlockMediaOps media_ops[FDC_UNITS] = { { .changed = changed_a }, { .changed = changed_b } };

static bool choose_drive(Fdc *fdc, int unit, GError **error)
{
    static const char *const names[FLOPPY_TYPES] = { "none", "360", "120", "720", "144", "288" };
    const char *name = fdc->type_name[unit];

    fdc->blk[unit] = block_find_drive("floppy", 0, unit);
    if (fdc->blk[unit]) {
        block_set_media_ops(fdc->blk[unit], &media_ops[unit], fdc);
    }
    if (!name || g_str_equal(name, "auto")) {
        bool there = fdc->blk[unit] || (unit == 0 && machine_config.default_devices);

        fdc->type[unit] = there ? fdc_choose_type(fdc->blk[unit]) : FLOPPY_NONE;
        return true;
    }
    for (int t = 0; t < FLOPPY_TYPES; t++) {
        if (g_str_equal(name, names[t])) {
            fdc->type[unit] = t;
            return true;
        }
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER,
                "isa-fdc: no drive type '%s'; there are: auto, none, 360, 720, 120, 144, 288", name);
    return false;
}

static bool fdc_realize(Device *dev, GError **error)
{
    Fdc *fdc = (Fdc *)dev;

    if (fdc->isa.dma != ISA_NONE && fdc->isa.dma > 3) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "isa-fdc: dma=%u is no 8-bit DMA channel",
                    fdc->isa.dma);
        return false;
    }
    for (int unit = 0; unit < FDC_UNITS; unit++) {
        if (!choose_drive(fdc, unit, error)) {
            return false;
        }
    }
    if (isa_dma() && fdc->isa.dma != ISA_NONE) {
        i8237_connect(isa_dma(), fdc->isa.dma, dma_ready, fdc);
    }
    fdc->timer = timer_new(CLOCK_GUEST, timer_expired, fdc);
    fdc->low = region_new_io("fdc", &fdc_ops, fdc, REG_FIFO + 1);
    fdc->high = region_new_io("fdc-dir", &high_ops, fdc, 1);
    isa_add_ports(fdc->low, fdc->isa.iobase);
    isa_add_ports(fdc->high, fdc->isa.iobase + REG_DIR); /* what is between belongs to the disks */
    return true;
}

static void fdc_reset(Device *dev)
{
    ((Fdc *)dev)->operation++;
}

static bool fdc_loaded(Device *dev, GError **error)
{
    Fdc *fdc = (Fdc *)dev;
    FdcState *s = &fdc->s;

    fdc->operation++;
    if (s->phase >= FDC_PHASES || s->command_size >= FDC_COMMAND_MAX + (s->phase != FDC_COMMAND) ||
        s->result_size > FDC_RESULT_MAX || s->at > s->size || s->size > FDC_SECTOR || s->rate > 3 ||
        (moves_data(s) && s->at >= s->size) || s->reset_senses > POLLED_DRIVES ||
        (s->phase == FDC_RESULT && s->result_at >= s->result_size) ||
        ((s->phase == FDC_FETCH || s->phase == FDC_STORE) && (!s->sector || s->head > 1))) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad state of '%s'", dev->id);
        return false;
    }
    return true;
}

static const Prop fdc_props[] = {
    ISA_PROPS(Fdc, "0x3f0", "6", "2"),
    PROP(Fdc, type_name[0], "fdtypeA", PROP_STRING, "auto", "drive A: auto, none, 360, 720, 120, 144, 288"),
    PROP(Fdc, type_name[1], "fdtypeB", PROP_STRING, "auto", "drive B"),
    { 0 },
};

const DeviceType isa_fdc_type = {
    .name = "isa-fdc",
    .about = "82077AA floppy controller",
    .bus = "isa",
    .user = true,
    .size = sizeof(Fdc),
    .state_at = offsetof(Fdc, s),
    .state = FdcState_fields,
    .props = fdc_props,
    .realize = fdc_realize,
    .reset = fdc_reset,
    .post_load = fdc_loaded,
    .update = fdc_update,
};
