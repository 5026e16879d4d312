/*
 * The pseries board: its hashed page table, which the guest may ask to be larger or smaller.
 *
 * There is room for two tables of twice the usual size. A new one is filled while processors still use the old one; then each is
 * told where it is. The guest sees to it that nobody changes translations meanwhile (H_RESIZE_HPT_COMMIT).
 */
#include "hw/boards/pseries.h"

#include "hw/papr/hpt.h"
#include "hw/papr/phb.h"
#include "target/ppc/cpu.h"
#include "util/error.h"

enum { SHIFT_MIN = 18, SHIFT_MAX = 30, GROWTH = 1 };

static uint64_t place_size(const Pseries *m)
{
    return UINT64_C(1) << (m->hpt_shift + GROWTH);
}

static uint8_t *table_at(Pseries *m, unsigned place)
{
    return (uint8_t *)region_host(m->hpt) + place * place_size(m);
}

uint64_t pseries_sdr1(const Pseries *m)
{
    return (PSERIES_HPT + m->s.hpt_place * place_size(m)) | (m->s.hpt_shift - SHIFT_MIN);
}

static bool is_size(const Pseries *m, uint64_t shift)
{
    return shift >= SHIFT_MIN && shift <= m->hpt_shift + GROWTH;
}

/* flags, shift: the new table would have this size. Zero: it is not wanted any more. */
static int64_t h_prepare(void *opaque, uint64_t opcode, uint64_t *args)
{
    Pseries *m = opaque;

    if (args[0] || (args[1] && args[1] < SHIFT_MIN) || args[1] > 46) {
        return H_PARAMETER;
    }
    if (args[1] && !is_size(m, args[1])) {
        return H_RESOURCE;
    }
    m->s.hpt_prepared = args[1];
    return H_SUCCESS;
}

/* flags, shift. */
static int64_t h_commit(void *opaque, uint64_t opcode, uint64_t *args)
{
    Pseries *m = opaque;
    unsigned place = !m->s.hpt_place;

    if (args[0]) {
        return H_PARAMETER;
    }
    if (!m->s.hpt_prepared || args[1] != m->s.hpt_prepared) {
        return m->s.hpt_prepared ? H_CLOSED : H_NOT_FOUND;
    }
    m->s.hpt_prepared = 0;
    if (!hpt_rehash(table_at(m, place), args[1])) {
        return H_PTEG_FULL;
    }
    m->s.hpt_shift = args[1];
    m->s.hpt_place = place;
    for (int n = 0; n < cpu_count(); n++) {
        ppc_state(cpu_get(n))->spr[SPR_SDR1] = pseries_sdr1(m);
    }
    hpt_use(table_at(m, place), args[1]);
    return H_SUCCESS;
}

void pseries_hpt_reset(Pseries *m)
{
    m->s.hpt_shift = m->hpt_shift;
    m->s.hpt_place = 0;
    m->s.hpt_prepared = 0;
    hpt_use(table_at(m, 0), m->hpt_shift);
    hpt_clear();
}

bool pseries_hpt_post_load(Pseries *m, GError **error)
{
    if (!is_size(m, m->s.hpt_shift) || m->s.hpt_place > 1 || (m->s.hpt_prepared && !is_size(m, m->s.hpt_prepared))) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "snapshot: bad size of the page table");
        return false;
    }
    hpt_use(table_at(m, m->s.hpt_place), m->s.hpt_shift);
    return true;
}

/* 1/128 of memory, as is usual for pages of 4 KiB. */
bool pseries_hpt_init(Pseries *m, GError **error)
{
    const char *resize = machine_config.resize_hpt;

    if (resize && !g_str_equal(resize, "enabled") && !g_str_equal(resize, "required") && !g_str_equal(resize, "disabled")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "-machine resize-hpt=%s: there are disabled, enabled and required", resize);
        return false;
    }
    m->resizes_hpt = !resize || !g_str_equal(resize, "disabled");
    m->hpt_shift = SHIFT_MIN;
    while (m->hpt_shift < SHIFT_MAX && (UINT64_C(1) << m->hpt_shift) * 128 < machine_config.ram_size) {
        m->hpt_shift++;
    }
    m->hpt = region_new_ram("pseries.hpt", place_size(m) * 2, error);
    if (!m->hpt) {
        return false;
    }
    region_add(memory_system_root(), PSERIES_HPT, m->hpt);
    hpt_init(region_host(m->hpt), m->hpt_shift, machine_config.ram_size, pseries_flush, m);
    hpt_add_window(PHB_WINDOWS, PHB_WINDOW_END - PHB_WINDOWS);
    if (m->resizes_hpt) {
        papr_hcall_add(H_RESIZE_HPT_PREPARE, h_prepare, m);
        papr_hcall_add(H_RESIZE_HPT_COMMIT, h_commit, m);
    }
    return true;
}
