/* The SCRIPTS processor of the LSI controllers (manual, chapter 5). */
#include "hw/scsi/lsi.h"
#include "util/log.h"

#include <string.h>

/* Instructions in a row: then the machine gets a turn. A guest's endless loop takes a part of one host thread. */
#define SLICE      4096
#define SLICE_TIME (NS_PER_MS / 2)
#define MOVE_CHUNK 4096
#define COPY_COST  64 /* instructions that a chunk of a memory move counts for */
#define CLOCK_COST 32 /* instructions after which the clock is looked at: what they reach may be a device that takes its time */

/* Fetches of both kinds see memory as the bus does: RAM, script RAM, the chip's own registers. */
static uint32_t fetch(Lsi *l, uint32_t address)
{
    uint8_t b[4] = { 0 };

    pci_dma_read(&l->pci, address, b, sizeof(b));
    return load_le32(b);
}

static uint32_t offset_24(uint32_t value)
{
    return sign_extend(value, 24);
}

/* ---- block moves ---- */

/* SCRIPTS go on behind a selection; it times out where they need the target, as drivers check. */
static bool selection_timed_out(Lsi *l)
{
    if (!l->s.unanswered) {
        return false;
    }
    l->s.unanswered = l->s.moving = false;
    lsi_scsi_interrupt(l, 0, SIST1_STO);
    return true;
}

static bool is_input(LsiPhase phase)
{
    return phase & 1;
}

/* The target is in another phase than the move: an interrupt, or a jump (register CCNTL0). */
static void mismatch(Lsi *l, LsiPhase wanted)
{
    uint8_t ccntl0 = l->s.reg[CCNTL0];
    bool first;

    l->s.moving = false;
    if (!(ccntl0 & CCNTL0_ENPMJ)) {
        lsi_scsi_interrupt(l, SIST0_MA, 0);
        return;
    }
    first = ccntl0 & CCNTL0_PMJCTL ? !is_input(wanted) : !(l->s.reg[SCNTL2] & SCNTL2_WSR);
    lsi_put(l, RBC, lsi_get(l, DBC));
    lsi_put(l, UA, lsi_get(l, DNAD));
    lsi_put(l, ESA, l->s.entry);
    lsi_put(l, IA, lsi_get(l, DSP) - 8);
    lsi_put(l, SBC, lsi_get(l, DBC) & 0xffffff);
    lsi_put(l, DSP, lsi_get(l, first ? PMJAD1 : PMJAD2));
}

static void begin_move(Lsi *l, uint32_t instruction, uint32_t address)
{
    uint32_t count = instruction & 0xffffff;

    l->s.entry = 0;
    if (instruction & 1 << 28) { /* table indirect */
        l->s.entry = lsi_get(l, DSA) + offset_24(address);
        count = fetch(l, l->s.entry) & 0xffffff;
        address = fetch(l, l->s.entry + 4);
    } else if (instruction & 1 << 29) {
        address = fetch(l, address);
    }
    lsi_put(l, DBC, (instruction & 0xff000000) | count);
    lsi_put(l, DNAD, address);
    l->s.moving = true;
}

/* False: the target has to be waited for; DBC and DNAD say what is left. */
static bool go_on_moving(Lsi *l)
{
    LsiPhase wanted = lsi_get(l, DBC) >> 24 & 7;
    uint8_t buffer[MOVE_CHUNK];

    while (l->s.moving) {
        uint32_t left = lsi_get(l, DBC) & 0xffffff, address = lsi_get(l, DNAD), n;

        if (!left) {
            l->s.moving = false;
            break;
        }
        if (selection_timed_out(l)) {
            break;
        }
        if (!l->s.connected) {
            l->s.moving = false;
            lsi_scsi_interrupt(l, SIST0_UDC, 0);
            break;
        }
        if (!l->s.ready) {
            return false;
        }
        if (l->s.phase == PHASE_COMMAND && wanted == PHASE_MESSAGE_OUT) {
            lsi_take_identify(l); /* SeaBIOS selects without ATN, and identifies itself nevertheless */
        }
        if (l->s.phase != wanted) {
            mismatch(l, wanted);
            break;
        }
        n = MIN(left, sizeof(buffer));
        if (!is_input(wanted)) {
            pci_dma_read(&l->pci, address, buffer, n);
        }
        n = lsi_transfer(l, buffer, n);
        if (is_input(wanted)) {
            pci_dma_write(&l->pci, address, buffer, n);
        }
        if (n) {
            l->s.reg[SFBR] = buffer[0];
        }
        lsi_put(l, DBC, (lsi_get(l, DBC) & 0xff000000) | (left - n));
        lsi_put(l, DNAD, address + n);
        l->spent += n >> 10;
        if (l->s.wait != WAIT_NOTHING) { /* the target left, with an interrupt */
            l->s.moving = false;
        }
    }
    return true;
}

/* ---- select, wait, set and clear ---- */

static void select_target(Lsi *l, uint32_t instruction, uint32_t address)
{
    uint32_t target = instruction >> 16 & 15, jump = address;

    if (instruction & 1 << 25) { /* the entry has SCNTL3, id, SXFER */
        uint32_t entry = fetch(l, lsi_get(l, DSA) + offset_24(instruction));

        l->s.reg[SCNTL3] = entry >> 24;
        l->s.reg[SXFER] = entry >> 8;
        target = entry >> 16 & 15;
    }
    if (instruction & 1 << 26) {
        jump = lsi_get(l, DSP) + offset_24(address);
    }
    l->s.reg[SDID] = target;
    l->s.unanswered = false;
    if (l->s.connected) { /* reselected, as far as this chip knows */
        lsi_put(l, DSP, jump);
    } else if (!lsi_select(l, target, instruction & 1 << 24)) {
        l->s.unanswered = true;
    }
}

static void set_or_clear(Lsi *l, uint32_t instruction, bool on)
{
    if (instruction & 1 << 10) {
        l->s.carry = on;
    }
    if (instruction & SOCL_ACK) {
        l->s.reg[SOCL] = on ? l->s.reg[SOCL] | SOCL_ACK : l->s.reg[SOCL] & ~SOCL_ACK;
    }
    if (instruction & SOCL_ATN) {
        if (on) {
            lsi_set_attention(l);
        } else {
            l->s.reg[SOCL] &= ~SOCL_ATN;
        }
    }
}

/* False: it waits. */
static bool io_instruction(Lsi *l, uint32_t instruction, uint32_t address)
{
    switch (instruction >> 27 & 7) {
    case 0:
        select_target(l, instruction, address);
        return true;
    case 1: /* WAIT DISCONNECT: targets that are to leave have left */
        if (selection_timed_out(l)) {
            return true;
        }
        if (!l->s.connected) {
            return true;
        }
        l->s.wait = WAIT_PHASE;
        return false;
    case 2: /* WAIT RESELECT */
        if (l->s.reg[ISTAT0] & ISTAT_SIGP) {
            lsi_put(l, DSP, instruction & 1 << 26 ? lsi_get(l, DSP) + offset_24(address) : address);
            return true;
        }
        l->s.wait = WAIT_RESELECT;
        return false;
    default:
        set_or_clear(l, instruction, (instruction >> 27 & 7) == 3);
        return true;
    }
}

/* ---- registers ---- */

static void register_instruction(Lsi *l, uint32_t instruction)
{
    unsigned kind = instruction >> 27 & 7, reg = (instruction >> 16 & 0x7f) | (instruction & 0x80);
    uint8_t immediate = instruction & 1 << 23 ? l->s.reg[SFBR] : instruction >> 8;
    uint8_t value = kind == 5 ? l->s.reg[SFBR] : lsi_read_register(l, reg);
    unsigned sum;

    switch (instruction >> 24 & 7) {
    case 0:
        value = immediate;
        break;
    case 1:
        sum = value << 1 | l->s.carry;
        l->s.carry = sum >> 8;
        value = sum;
        break;
    case 2:
        value |= immediate;
        break;
    case 3:
        value ^= immediate;
        break;
    case 4:
        value &= immediate;
        break;
    case 5:
        sum = l->s.carry;
        l->s.carry = value & 1;
        value = value >> 1 | sum << 7;
        break;
    default:
        sum = value + immediate + ((instruction >> 24 & 7) == 7 ? l->s.carry : 0);
        l->s.carry = sum >> 8;
        value = sum;
    }
    if (kind == 6) {
        l->s.reg[SFBR] = value;
    } else {
        lsi_write_register(l, reg, value);
    }
}

/* ---- transfer of control ---- */

static bool condition_holds(const Lsi *l, uint32_t instruction)
{
    if (instruction & 1 << 21) {
        return l->s.carry;
    }
    if ((instruction & 1 << 17) && l->s.phase != (instruction >> 24 & 7)) {
        return false;
    }
    if (instruction & 1 << 18) {
        uint8_t mask = ~(instruction >> 8);

        return (l->s.reg[SFBR] & mask) == (instruction & mask & 0xff);
    }
    return true;
}

static bool control_instruction(Lsi *l, uint32_t instruction, uint32_t address)
{
    if ((instruction & 1 << 16) && selection_timed_out(l)) {
        return true;
    }
    if ((instruction & 1 << 16) && l->s.connected && !l->s.ready) { /* WHEN: a valid phase */
        l->s.wait = WAIT_PHASE;
        return false;
    }
    if (condition_holds(l, instruction) != (instruction >> 19 & 1)) {
        return true;
    }
    if (instruction & 1 << 23) {
        address = lsi_get(l, DSP) + offset_24(address);
    }
    switch (instruction >> 27 & 7) {
    case 0:
        lsi_put(l, DSP, address);
        break;
    case 1:
        lsi_put(l, TEMP, lsi_get(l, DSP));
        lsi_put(l, DSP, address);
        break;
    case 2:
        lsi_put(l, DSP, lsi_get(l, TEMP));
        break;
    case 3:
        if (instruction & 1 << 20) {
            l->s.reg[ISTAT0] |= ISTAT_INTF;
            lsi_update(l);
        } else {
            lsi_dma_interrupt(l, DSTAT_SIR);
        }
        break;
    default:
        lsi_dma_interrupt(l, DSTAT_IID);
    }
    return true;
}

/* ---- memory ---- */

/* The destination is a third word. What moves is done chunk by chunk, each one a turn of the processor. */
static void begin_copy(Lsi *l, uint32_t instruction, uint32_t from)
{
    lsi_put(l, DNAD, from);
    l->s.copy_to = fetch(l, lsi_get(l, DSP)); /* not in TEMP, which drivers copy from and to */
    lsi_put(l, DSP, lsi_get(l, DSP) + 4);
    l->s.copying = instruction & 0xffffff;
}

static void go_on_copying(Lsi *l)
{
    uint32_t left = lsi_get(l, DBC) & 0xffffff, n = MIN(left, MOVE_CHUNK);
    uint8_t buffer[MOVE_CHUNK];

    pci_dma_read(&l->pci, lsi_get(l, DNAD), buffer, n);
    pci_dma_write(&l->pci, l->s.copy_to, buffer, n);
    lsi_put(l, DNAD, lsi_get(l, DNAD) + n);
    l->s.copy_to += n;
    lsi_put(l, DBC, (lsi_get(l, DBC) & 0xff000000) | (left - n));
    l->s.copying = left > n;
}

static void load_or_store(Lsi *l, uint32_t instruction, uint32_t address)
{
    unsigned reg = instruction >> 16 & 0xff, count = instruction & 7;
    uint8_t bytes[8];

    if (instruction & 1 << 28) {
        address = lsi_get(l, DSA) + offset_24(address);
    }
    if (count == 0 || count > 4 || reg + count > 256) {
        lsi_dma_interrupt(l, DSTAT_IID);
    } else if (instruction & 1 << 24) {
        pci_dma_read(&l->pci, address, bytes, count);
        for (unsigned i = 0; i < count; i++) {
            lsi_write_register(l, reg + i, bytes[i]);
        }
    } else {
        for (unsigned i = 0; i < count; i++) {
            bytes[i] = lsi_read_register(l, reg + i);
        }
        pci_dma_write(&l->pci, address, bytes, count);
    }
}

/* ---- the processor ---- */

/* One instruction. False: it waits, and will be taken again. */
static bool step(Lsi *l)
{
    uint32_t at = lsi_get(l, DSP), instruction, address;
    bool done = true;

    if (l->s.copying) {
        go_on_copying(l);
        return true;
    }
    if (l->s.moving) {
        done = go_on_moving(l);
        l->s.wait = done ? l->s.wait : WAIT_PHASE;
        return done;
    }
    instruction = fetch(l, at);
    address = fetch(l, at + 4);
    trace("lsi_script", "%s: %08x: %08x %08x", l->pci.dev.id, at, instruction, address);
    lsi_put(l, DBC, instruction);
    lsi_put(l, DSPS, address);
    lsi_put(l, DSP, at + 8);
    switch (instruction >> 30) {
    case 0:
        begin_move(l, instruction, address);
        done = go_on_moving(l);
        l->s.wait = done ? l->s.wait : WAIT_PHASE;
        return done; /* a half-done move goes on by itself, behind this instruction */
    case 1:
        if ((instruction >> 27 & 7) >= 5) {
            register_instruction(l, instruction);
        } else {
            done = io_instruction(l, instruction, address);
        }
        break;
    case 2:
        done = control_instruction(l, instruction, address);
        break;
    default:
        if (instruction & 1 << 29) {
            load_or_store(l, instruction, address);
        } else {
            begin_copy(l, instruction, address);
        }
    }
    if (!done) {
        lsi_put(l, DSP, at);
    }
    return done;
}

void lsi_run(Lsi *l)
{
    int64_t start = clock_now(CLOCK_GUEST);
    bool late = false;

    if (l->running) {
        return;
    }
    l->running = true;
    l->spent = 0;
    for (unsigned looked = 0; l->s.wait == WAIT_NOTHING && step(l); l->spent += l->s.copying ? COPY_COST : 1) {
        if (l->spent - looked >= CLOCK_COST) {
            looked = l->spent;
            late = clock_now(CLOCK_GUEST) - start > SLICE_TIME;
        }
        if (l->s.wait == WAIT_NOTHING && (l->s.reg[DCNTL] & DCNTL_SSM) && !l->s.copying) {
            lsi_dma_interrupt(l, DSTAT_SSI);
        } else if (l->s.wait == WAIT_NOTHING && (late || l->spent >= SLICE)) {
            l->s.wait = WAIT_SLICE;
            timer_set(l->slice, clock_now(CLOCK_GUEST) + SLICE_TIME);
        }
    }
    l->running = false;
}
