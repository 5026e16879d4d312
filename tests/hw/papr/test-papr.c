/* Calls of a logical partition, driven without a processor: interrupts, windows, queues, terminals, page tables. */
#include "core/clock.h"
#include "core/machine.h"
#include "hw/papr/hpt.h"
#include "hw/papr/memop.h"
#include "hw/papr/papr.h"
#include "hw/papr/phb.h"
#include "hw/papr/vio.h"
#include "hw/papr/xics.h"
#include "hw/papr/xive.h"
#include "tests/hw/rig.h"
#include "util/bits.h"

#include <string.h>

enum { HPT_SHIFT = 18, QUEUE = 0x10000, IU = 0x12000, DATA = 0x14000, CALL = 0x20000, WINDOW_AT = 0x100000 };

static Device *xics, *xive, *vty, *scsi, *lan, *phb;
static uint8_t *table;
static unsigned flushes;
static bool pin[2];

static void pin_changed(void *opaque, int n, bool level)
{
    pin[n] = level;
}

static void count_flush(void *opaque, uint64_t index, uint64_t v, uint64_t r)
{
    flushes++;
}

/* Up to five arguments; the results stay in `out`. */
static uint64_t out[PAPR_HCALL_ARGS];

static int64_t hcall(uint64_t opcode, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    const uint64_t in[PAPR_HCALL_ARGS] = { a, b, c, d, e };

    memcpy(out, in, sizeof(out));
    return papr_hcall(opcode, out);
}

static uint32_t token_wanted;

static void note_token(void *opaque, const char *name, uint32_t token)
{
    if (g_str_equal(name, opaque)) {
        token_wanted = token;
    }
}

/* Returns the status; results are at ret(n). */
static unsigned last_nargs;

static int32_t rtas(const char *name, unsigned nargs, const uint32_t *args, unsigned nrets)
{
    uint8_t *at = rig_ram() + CALL;

    token_wanted = 0;
    papr_rtas_for_each(note_token, (void *)name);
    g_assert_cmpuint(token_wanted, !=, 0);
    store_be32(at, token_wanted);
    store_be32(at + 4, nargs);
    store_be32(at + 8, nrets);
    for (unsigned i = 0; i < nargs; i++) {
        store_be32(at + 12 + i * 4, args[i]);
    }
    g_assert_cmpint(papr_rtas_call(CALL), ==, H_SUCCESS);
    last_nargs = nargs;
    return load_be32(at + 12 + nargs * 4);
}

static uint32_t ret(unsigned n)
{
    return load_be32(rig_ram() + CALL + 12 + (last_nargs + n) * 4);
}

static void reset(void)
{
    devices_reset_all();
    xive_leave(xive);
    xics_use(xics);
}

/* ---- XICS ---- */

static void a_more_favoured_source_displaces_another(void)
{
    const uint32_t a[] = { PAPR_IRQ_MSI, 0, 5 }, b[] = { PAPR_IRQ_MSI + 1, 0, 3 };

    reset();
    papr_irq_claim(PAPR_IRQ_MSI, PAPR_IRQ_EDGE);
    papr_irq_claim(PAPR_IRQ_MSI + 1, PAPR_IRQ_EDGE);
    g_assert_cmpint(rtas("ibm,set-xive", 3, a, 1), ==, RTAS_OK);
    g_assert_cmpint(rtas("ibm,set-xive", 3, b, 1), ==, RTAS_OK);
    hcall(H_CPPR, 0xff, 0, 0, 0, 0);
    papr_irq_pulse(PAPR_IRQ_MSI);
    g_assert_true(pin[0]);
    papr_irq_pulse(PAPR_IRQ_MSI + 1);
    hcall(H_XIRR, 0, 0, 0, 0, 0);
    g_assert_cmphex(out[0], ==, 0xff000000u | (PAPR_IRQ_MSI + 1));
    g_assert_false(pin[0]); /* the other one is less favoured than what runs */
    hcall(H_EOI, 0xff000000u | (PAPR_IRQ_MSI + 1), 0, 0, 0, 0);
    g_assert_true(pin[0]);
    hcall(H_XIRR, 0, 0, 0, 0, 0);
    g_assert_cmphex(out[0] & 0xffffff, ==, PAPR_IRQ_MSI);
}

static void a_level_comes_back_until_it_is_low(void)
{
    const uint32_t a[] = { PAPR_IRQ_LSI + 4, 0, 5 };

    reset();
    g_assert_cmpint(rtas("ibm,set-xive", 3, a, 1), ==, RTAS_OK);
    hcall(H_CPPR, 0xff, 0, 0, 0, 0);
    papr_irq_set(PAPR_IRQ_LSI + 4, true);
    for (int i = 0; i < 2; i++) {
        g_assert_true(pin[0]);
        hcall(H_XIRR, 0, 0, 0, 0, 0);
        g_assert_false(pin[0]);
        if (i == 1) {
            papr_irq_set(PAPR_IRQ_LSI + 4, false);
        }
        hcall(H_EOI, out[0], 0, 0, 0, 0);
    }
    g_assert_false(pin[0]);
}

static void an_ipi_is_presented_by_its_priority(void)
{
    reset();
    hcall(H_CPPR, 5, 0, 0, 0, 0);
    g_assert_cmpint(hcall(H_IPI, 0, 5, 0, 0, 0), ==, H_SUCCESS);
    g_assert_false(pin[0]);
    hcall(H_IPI, 0, 4, 0, 0, 0);
    g_assert_true(pin[0]);
    hcall(H_XIRR, 0, 0, 0, 0, 0);
    g_assert_cmphex(out[0], ==, 0x05000002);
    hcall(H_IPI, 0, 0xff, 0, 0, 0);
    hcall(H_EOI, out[0], 0, 0, 0, 0);
    g_assert_false(pin[0]);
    g_assert_cmpint(hcall(H_IPI, 7, 4, 0, 0, 0), ==, H_PARAMETER);
}

/* ---- XIVE ---- */

static uint64_t load_be(PhysAddr addr, unsigned size)
{
    return __builtin_bswap64(memory_load(memory_system(), addr, size)) >> (64 - size * 8);
}

static void a_source_writes_into_its_queue(void)
{
    uint64_t trigger, end;

    reset();
    xics_leave(xics);
    xive_use(xive);
    memset(rig_ram() + QUEUE, 0, 0x10000);
    papr_irq_claim(PAPR_IRQ_MSI, PAPR_IRQ_EDGE);
    g_assert_cmpint(hcall(H_INT_GET_SOURCE_INFO, 0, PAPR_IRQ_MSI, 0, 0, 0), ==, H_SUCCESS);
    g_assert_cmphex(out[0], ==, 0); /* above all, kernels must not trigger by the page that manages */
    end = out[1];
    trigger = out[2];
    g_assert_cmpint(hcall(H_INT_SET_QUEUE_CONFIG, 1, 0, 6, QUEUE, 16), ==, H_SUCCESS);
    g_assert_cmpint(hcall(H_INT_SET_SOURCE_CONFIG, 2, PAPR_IRQ_MSI, 0, 6, 0x1234), ==, H_SUCCESS);
    load_be(end + 0xc00, 8); /* on */
    memory_store(memory_system(), XIVE_OS_PAGE + 0x11, 0xff, 1);
    memory_store(memory_system(), trigger, 0, 8);
    g_assert_true(pin[1]);
    g_assert_cmphex(load_be32(rig_ram() + QUEUE), ==, 0x80001234);
    g_assert_cmphex(load_be(XIVE_OS_PAGE + 0x810, 2), ==, 0x8006); /* accepted at its priority */
    g_assert_false(pin[1]);
    papr_irq_pulse(PAPR_IRQ_MSI); /* waits for the end of the first one */
    g_assert_cmphex(load_be32(rig_ram() + QUEUE + 4), ==, 0);
    g_assert_cmphex(load_be(end + 0xc00, 8), ==, 3);
    memory_store(memory_system(), trigger, 0, 8);
    g_assert_cmphex(load_be32(rig_ram() + QUEUE + 4), ==, 0x80001234);
    memory_store(memory_system(), XIVE_OS_PAGE + 0x11, 0xff, 1);
    g_assert_true(pin[1]);
}

/* ---- the virtual I/O bus ---- */

static uint32_t reg_of(Device *dev)
{
    return ((VioDevice *)dev)->reg;
}

/* Maps the first megabyte of a unit's window to memory at WINDOW_AT. */
static void open_window(Device *dev)
{
    for (uint64_t at = 0; at < 0x100000; at += 0x1000) {
        g_assert_cmpint(hcall(H_PUT_TCE, reg_of(dev), at, (WINDOW_AT + at) | 3, 0, 0), ==, H_SUCCESS);
    }
}

static void characters_come_and_go(void)
{
    static RigChar *line;

    reset();
    line = line ? line : rig_char("late");
    g_assert_cmpint(hcall(H_PUT_TERM_CHAR, reg_of(vty), 3, UINT64_C(0x4162630000000000), 0, 0), ==, H_SUCCESS);
    g_assert_cmpint(hcall(H_PUT_TERM_CHAR, reg_of(vty), 17, 0, 0, 0), ==, H_PARAMETER);
    g_assert_cmpint(hcall(H_PUT_TERM_CHAR, reg_of(scsi), 1, 0, 0, 0), ==, H_PARAMETER);
    g_assert_cmpint(hcall(H_GET_TERM_CHAR, reg_of(vty), 0, 0, 0, 0), ==, H_SUCCESS);
    g_assert_cmpuint(out[0], ==, 0);
}

static uint8_t *window(uint64_t addr)
{
    return rig_ram() + WINDOW_AT + addr;
}

static void send_message(uint8_t valid, uint8_t format, uint16_t size, uint64_t at, int64_t expected)
{
    uint64_t high = (uint64_t)valid << 56 | (uint64_t)format << 48 | size;

    g_assert_cmpint(hcall(H_SEND_CRQ, reg_of(scsi), high, at, 0, 0), ==, expected);
}

/* Registers the queue at its window's QUEUE and says hello. */
static void start_scsi(void)
{
    reset();
    open_window(scsi);
    memset(window(QUEUE), 0, 0x1000);
    g_assert_cmpint(hcall(H_REG_CRQ, reg_of(scsi), QUEUE, 0x1000, 0, 0), ==, H_SUCCESS);
    send_message(0xc0, 1, 0, 0, H_SUCCESS);
    g_assert_cmphex(window(QUEUE)[0], ==, 0xc0);
    g_assert_cmphex(window(QUEUE)[1], ==, 2);
    memset(window(QUEUE), 0, 16);
}

static void an_inquiry_is_answered(void)
{
    uint8_t *iu = window(IU);

    start_scsi();
    memset(iu, 0, 256);
    iu[0] = 2;
    iu[5] = 1; /* one direct buffer in */
    iu[7] = 1;
    store_be64(iu + 8, 0x1122334455667788);
    iu[20] = 0x80;
    iu[32] = 0x12;
    iu[36] = 36;
    store_be64(iu + 48, DATA);
    store_be32(iu + 60, 64);
    send_message(0x80, 1, 64, IU, H_SUCCESS);
    rig_run(0);
    g_assert_cmphex(window(QUEUE + 16)[0], ==, 0x80);
    g_assert_cmphex(load_be64(window(QUEUE + 24)), ==, 0x1122334455667788);
    g_assert_cmphex(iu[0], ==, 0xc1);
    g_assert_cmphex(iu[19], ==, 0); /* good */
    g_assert_cmpuint(load_be32(iu + 24), ==, 64 - 36);
    g_assert_cmphex(window(DATA)[0], ==, 0);      /* a disk */
    g_assert_cmphex(window(DATA)[4], >=, 36 - 5); /* with more to say */
}

static void bad_messages_are_refused(void)
{
    start_scsi();
    send_message(0x80, 1, 64, 0x0ffffff0, H_PARAMETER); /* not in the window */
    send_message(0x80, 1, 8, IU, H_PARAMETER);
    send_message(0x00, 1, 64, IU, H_PARAMETER);
    g_assert_cmpint(hcall(H_REG_CRQ, reg_of(scsi), QUEUE, 0x1000, 0, 0), ==, H_RESOURCE);
    g_assert_cmpint(hcall(H_REG_CRQ, reg_of(vty), QUEUE, 0x1000, 0, 0), ==, H_PARAMETER);
    g_assert_cmpint(hcall(H_FREE_CRQ, reg_of(scsi), 0, 0, 0, 0), ==, H_SUCCESS);
    g_assert_cmpint(hcall(H_REG_CRQ, reg_of(scsi), 0x0ffff000, 0x2000, 0, 0), ==, H_PARAMETER);
    send_message(0x80, 1, 64, IU, H_CLOSED);
}

static void tables_have_ends(void)
{
    reset();
    g_assert_cmpint(hcall(H_PUT_TCE, reg_of(lan), 0x10000000, 3, 0, 0), ==, H_PARAMETER);
    g_assert_cmpint(hcall(H_STUFF_TCE, reg_of(lan), 0, 0x5003, 0x10000, 0), ==, H_SUCCESS);
    g_assert_cmpint(hcall(H_STUFF_TCE, reg_of(lan), 0x1000, 0, 0x10000, 0), ==, H_PARAMETER);
    g_assert_cmpint(hcall(H_GET_TCE, reg_of(lan), 0, 0, 0, 0), ==, H_SUCCESS);
    g_assert_cmphex(out[0], ==, 0x5003);
    g_assert_cmpint(hcall(H_PUT_TCE_INDIRECT, reg_of(lan), 0, 0x10, 1, 0), ==, H_PARAMETER);
    rig_save_and_load(device_find("tce-71000002") ? device_find("tce-71000002") : lan);
}

/* ---- the hashed page table ---- */

static bool may_be_mapped(PhysAddr addr)
{
    int64_t result;

    hpt_clear();
    result = hcall(H_ENTER, 0, 0, UINT64_C(0x0123456789abc000), addr | 0x1a2, 0); /* cache-inhibited and guarded */
    g_assert_true(result == H_SUCCESS || result == H_PARAMETER);
    return result == H_SUCCESS;
}

static void registers_are_mapped_and_holes_are_not(void)
{
    g_assert_true(may_be_mapped(PHB_WINDOWS));
    g_assert_true(may_be_mapped(PHB_WINDOW_END - 0x1000));
    g_assert_false(may_be_mapped(PHB_WINDOW_END));
    g_assert_true(may_be_mapped(XIVE_OS_PAGE));
    g_assert_true(may_be_mapped(XIVE_USER_PAGE + XIVE_PAGE - 0x1000));
    g_assert_false(may_be_mapped(XIVE_USER_PAGE + XIVE_PAGE));
    g_assert_true(may_be_mapped(XIVE_SOURCES));
    g_assert_false(may_be_mapped(XIVE_SOURCES - 0x1000));
    g_assert_false(may_be_mapped(RIG_RAM));
}

static void entries_go_in_and_out(void)
{
    uint64_t v = UINT64_C(0x0123456789abc000), index;

    hpt_clear();
    for (int i = 0; i < 8; i++) {
        g_assert_cmpint(hcall(H_ENTER, 0, 16, v, 0x3190, 0), ==, H_SUCCESS);
        g_assert_cmpuint(out[0], ==, 16 + i);
    }
    g_assert_cmpint(hcall(H_ENTER, 0, 16, v, 0x3190, 0), ==, H_PTEG_FULL);
    g_assert_cmpint(hcall(H_ENTER, 0, 16, v, RIG_RAM, 0), ==, H_PARAMETER);
    g_assert_cmpint(hcall(H_ENTER, 0, UINT64_C(1) << 40, v, 0x3190, 0), ==, H_PARAMETER);
    index = 18;
    g_assert_cmpint(hcall(H_PROTECT, (UINT64_C(1) << 31) | 3, index, v & ~UINT64_C(0x7f), 0, 0), ==, H_SUCCESS);
    g_assert_cmpint(hcall(H_READ, 0, index, 0, 0, 0), ==, H_SUCCESS);
    g_assert_cmphex(out[0], ==, v | 1);
    g_assert_cmphex(out[1], ==, 0x3193);
    flushes = 0;
    g_assert_cmpint(hcall(H_REMOVE, UINT64_C(1) << 31, index, 0x5000, 0, 0), ==, H_NOT_FOUND);
    g_assert_cmpint(hcall(H_REMOVE, 0, index, 0, 0, 0), ==, H_SUCCESS);
    g_assert_cmphex(out[1], ==, 0x3193);
    g_assert_cmpuint(flushes, ==, 1);
    g_assert_cmpint(hcall(H_BULK_REMOVE, UINT64_C(1) << 62 | 17, 0, UINT64_C(1) << 62 | 18, 0, UINT64_C(3) << 62), ==,
                    H_SUCCESS);
    g_assert_cmphex(out[0] >> 56, ==, 0x8c); /* it was referenced and changed */
    g_assert_cmphex(out[2] >> 60, ==, 0x9);  /* there is none */
    g_assert_cmphex(load_be64(table + 17 * 16), ==, 0);
}

/* ---- RTAS ---- */

static void the_clock_can_be_set(void)
{
    const uint32_t date[] = { 2031, 2, 3, 4, 5, 6, 0 }, bad[] = { 2031, 2, 31, 4, 5, 6, 0 };

    reset();
    g_assert_cmpint(rtas("set-time-of-day", 7, bad, 1), ==, RTAS_BAD);
    g_assert_cmpint(rtas("set-time-of-day", 7, date, 1), ==, RTAS_OK);
    g_assert_cmpint(rtas("get-time-of-day", 0, NULL, 8), ==, RTAS_OK);
    g_assert_cmpuint(ret(1), ==, 2031);
    g_assert_cmpuint(ret(4), ==, 4);
}

/* ---- windows and error handling of a PCI host bridge ---- */

enum { BUID_HIGH = 0x08000000, BUID_LOW = 0x20000001, CARD = 1 << 11, SLOT_1 = CARD | 1 };
#define HIGH_WINDOW (UINT64_C(0x08000000) << 32)

static int32_t bridge_call(const char *name, uint32_t function, uint32_t a, uint32_t b, unsigned nargs, unsigned nrets)
{
    return rtas(name, nargs, (uint32_t[]){ function, BUID_HIGH, BUID_LOW, a, b }, nrets);
}

static int32_t create_window(uint32_t page_bits, uint32_t bits)
{
    return bridge_call("ibm,create-pe-dma-window", CARD, page_bits, bits, 5, 4);
}

static void windows_are_made_and_removed(void)
{
    PaprTce *high = phb_dma_window(phb, 1);
    uint64_t left;
    PhysAddr phys;

    reset();
    g_assert_cmpint(bridge_call("ibm,query-pe-dma-window", CARD, 0, 0, 3, 5), ==, RTAS_OK);
    g_assert_cmpuint(ret(1), ==, 1);
    g_assert_cmphex(ret(2), ==, PAPR_TCE_MAX_PAGES);
    g_assert_cmphex(ret(3), ==, 7);
    for (unsigned i = 0; i < 5; i++) {
        static const uint32_t wrong[][2] = { { 13, 30 }, { 16, 15 }, { 12, 35 }, { 24, 64 }, { 60, 62 } };

        g_assert_cmpint(create_window(wrong[i][0], wrong[i][1]), ==, RTAS_BAD);
    }
    g_assert_cmpint(create_window(16, 30), ==, RTAS_OK);
    g_assert_cmphex(ret(1), ==, 0x80010001);
    g_assert_cmphex(ret(2), ==, HIGH_WINDOW >> 32);
    g_assert_cmphex(ret(3), ==, 0);
    g_assert_cmpint(create_window(16, 30), ==, RTAS_HARDWARE); /* no room */
    g_assert_cmpint(hcall(H_PUT_TCE, 0x80010001, HIGH_WINDOW + 0x20000, 0x10000 | 1, 0, 0), ==, H_SUCCESS);
    g_assert_cmpint(hcall(H_PUT_TCE, 0x80010001, HIGH_WINDOW + (1 << 30), 3, 0, 0), ==, H_PARAMETER);
    rig_save_and_load(device_find("tce-80010001"));
    g_assert_true(papr_tce_translate(high, HIGH_WINDOW + 0x20010, false, &phys, &left));
    g_assert_cmphex(phys, ==, 0x10010);
    g_assert_cmphex(left, ==, 0xfff0);
    g_assert_false(papr_tce_translate(high, HIGH_WINDOW + 0x20010, true, &phys, &left));
    g_assert_false(papr_tce_translate(high, HIGH_WINDOW + (1 << 30), false, &phys, &left));

    g_assert_cmpint(rtas("ibm,remove-pe-dma-window", 1, (uint32_t[]){ 0x80010000 }, 1), ==, RTAS_OK);
    g_assert_cmpint(rtas("ibm,remove-pe-dma-window", 1, (uint32_t[]){ 0x80010000 }, 1), ==, RTAS_BAD);
    g_assert_cmpint(create_window(12, 32), ==, RTAS_HARDWARE); /* only below what devices have */
    g_assert_cmpint(create_window(12, 31), ==, RTAS_OK);
    g_assert_cmphex(ret(1), ==, 0x80010000);
    g_assert_cmphex(ret(2), ==, 0);
    g_assert_cmpint(bridge_call("ibm,reset-pe-dma-window", CARD, 0, 0, 3, 1), ==, RTAS_OK);
    g_assert_cmphex(papr_tce_size(phb_dma_window(phb, 0)), ==, 1 << 30);
    g_assert_cmphex(papr_tce_size(high), ==, 0);
    g_assert_cmpint(create_window(24, 40), ==, RTAS_OK);
    reset();
    g_assert_cmphex(papr_tce_size(high), ==, 0);
}

static void a_slot_is_reset(void)
{
    enum { COMMAND = 4, MASTER = 4 };

    reset();
    g_assert_cmpint(bridge_call("ibm,set-eeh-option", CARD, 1, 0, 4, 1), ==, RTAS_OK);
    g_assert_cmpint(bridge_call("ibm,set-eeh-option", CARD + (1 << 11), 1, 0, 4, 1), ==, RTAS_BAD); /* nothing there */
    g_assert_cmpint(bridge_call("ibm,get-config-addr-info2", CARD, 0, 0, 4, 2), ==, RTAS_OK);
    g_assert_cmphex(ret(1), ==, SLOT_1);
    g_assert_cmpint(bridge_call("ibm,write-pci-config", CARD | COMMAND, 2, MASTER, 5, 1), ==, RTAS_OK);
    g_assert_cmpint(bridge_call("ibm,set-slot-reset", SLOT_1, 1, 0, 4, 1), ==, RTAS_OK);
    g_assert_cmpint(bridge_call("ibm,read-slot-reset-state2", SLOT_1, 0, 0, 3, 4), ==, RTAS_OK);
    g_assert_cmpuint(ret(1), ==, 1);
    rig_save_and_load(phb);
    g_assert_cmpint(bridge_call("ibm,set-slot-reset", SLOT_1, 0, 0, 4, 1), ==, RTAS_OK);
    g_assert_cmpint(bridge_call("ibm,read-slot-reset-state2", SLOT_1, 0, 0, 3, 4), ==, RTAS_OK);
    g_assert_cmpuint(ret(1), ==, 0);
    g_assert_cmpint(bridge_call("ibm,read-pci-config", CARD | COMMAND, 2, 0, 4, 2), ==, RTAS_OK);
    g_assert_cmphex(ret(1) & MASTER, ==, 0);
    g_assert_cmpint(bridge_call("ibm,configure-pe", SLOT_1, 0, 0, 3, 1), ==, RTAS_OK);
    g_assert_cmpint(bridge_call("ibm,set-slot-reset", SLOT_1, 2, 0, 4, 1), ==, RTAS_BAD);
}

static void configuration_space_is_there(void)
{
    const uint32_t buid[] = { 0x08000000, 0x20000001 };
    uint32_t args[] = { 0x0800, buid[0], buid[1], 4 };

    reset();
    g_assert_cmpint(rtas("ibm,read-pci-config", 4, args, 2), ==, RTAS_OK);
    g_assert_cmphex(ret(1), ==, 0x100e8086);
    args[2]++;
    g_assert_cmpint(rtas("ibm,read-pci-config", 4, args, 2), ==, RTAS_BAD);
    args[2]--;
    args[3] = 3;
    g_assert_cmpint(rtas("ibm,read-pci-config", 4, args, 2), ==, RTAS_BAD);
}

/* ---- anything ---- */

static uint64_t random_argument(void)
{
    switch (g_test_rand_int_range(0, 7)) {
    case 0:
        return 0;
    case 1:
        return (uint64_t)g_test_rand_int() << 32 | (uint32_t)g_test_rand_int();
    case 2:
        return 0x71000000 + g_test_rand_int_range(0, 5);
    case 3:
        return g_test_rand_int_range(0, RIG_RAM / 4096) * 4096;
    case 4:
        return PAPR_IRQ_FIRST + g_test_rand_int_range(0, PAPR_IRQS);
    case 5:
        return UINT64_C(1) << g_test_rand_int_range(0, 64);
    default:
        return g_test_rand_int_range(0, 64);
    }
}

static void random_calls_are_survived(void)
{
    reset();
    for (int i = 0; i < 200000; i++) {
        uint64_t opcode = g_test_rand_int_range(0, 40) ? g_test_rand_int_range(0, 0x118) * 4 : 0xf000 + g_test_rand_int_range(0, 8);

        for (int n = 0; n < PAPR_HCALL_ARGS; n++) {
            out[n] = random_argument();
        }
        papr_hcall(opcode, out);
        if (i % 64 == 0) {
            uint8_t *at = rig_ram() + CALL;

            store_be32(at, 0x2000 + g_test_rand_int_range(0, 40));
            store_be32(at + 4, g_test_rand_int_range(0, 18));
            store_be32(at + 8, g_test_rand_int_range(0, 18));
            for (int n = 0; n < 16; n++) {
                store_be32(at + 12 + n * 4, random_argument());
            }
            papr_rtas_call(CALL);
            rig_run(0);
        }
    }
    reset();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    rig_init();
    rig_ram();
    rig_char("c0");
    rig_drive("disk", "none", 0, 1 << 20, false, false);
    table = g_malloc0(1 << HPT_SHIFT);
    hpt_init(table, HPT_SHIFT, RIG_RAM, count_flush, NULL);
    hpt_add_window(PHB_WINDOWS, PHB_WINDOW_END - PHB_WINDOWS);
    papr_memop_init();
    papr_tce_init();
    vio_bus_new();
    rig_add("spapr-irq", NULL);
    xics = rig_add("spapr-xics", NULL);
    xive = rig_add("spapr-xive", NULL);
    xics_connect(xics, 0, line_new(pin_changed, NULL, 0));
    xive_connect(xive, 0, line_new(pin_changed, NULL, 1));
    vty = rig_add("spapr-vty,chardev=c0", bus_find_kind(VIO_BUS));
    rig_add("spapr-nvram", bus_find_kind(VIO_BUS));
    lan = rig_add("spapr-vlan", bus_find_kind(VIO_BUS));
    scsi = rig_add("spapr-vscsi", bus_find_kind(VIO_BUS));
    rig_add("scsi-hd,drive=disk,scsi-id=0", bus_find_kind("scsi"));
    phb = rig_add("spapr-pci-host-bridge,index=1", NULL);
    rig_add("e1000,addr=1", pci_bus_bus(phb_bus(phb)));
    rig_add("spapr-rtas", NULL);
    g_test_add_func("/papr/a-more-favoured-source-displaces-another", a_more_favoured_source_displaces_another);
    g_test_add_func("/papr/a-level-comes-back-until-it-is-low", a_level_comes_back_until_it_is_low);
    g_test_add_func("/papr/an-ipi-is-presented-by-its-priority", an_ipi_is_presented_by_its_priority);
    g_test_add_func("/papr/a-source-writes-into-its-queue", a_source_writes_into_its_queue);
    g_test_add_func("/papr/characters-come-and-go", characters_come_and_go);
    g_test_add_func("/papr/an-inquiry-is-answered", an_inquiry_is_answered);
    g_test_add_func("/papr/bad-messages-are-refused", bad_messages_are_refused);
    g_test_add_func("/papr/tables-have-ends", tables_have_ends);
    g_test_add_func("/papr/registers-are-mapped-and-holes-are-not", registers_are_mapped_and_holes_are_not);
    g_test_add_func("/papr/entries-go-in-and-out", entries_go_in_and_out);
    g_test_add_func("/papr/the-clock-can-be-set", the_clock_can_be_set);
    g_test_add_func("/papr/configuration-space-is-there", configuration_space_is_there);
    g_test_add_func("/papr/windows-are-made-and-removed", windows_are_made_and_removed);
    g_test_add_func("/papr/a-slot-is-reset", a_slot_is_reset);
    g_test_add_func("/papr/random-calls-are-survived", random_calls_are_survived);
    return g_test_run();
}
