/*
 * The virtual I/O bus: units by number, their interrupts and their command/response queues.
 *
 * LoPAPR 1.1, 17.2. Unit number n has interrupt source PAPR_IRQ_VIO + n - FIRST_REG, and translation table number n.
 */
#include "hw/papr/vio.h"

#include "util/error.h"
#include "util/log.h"

enum { FIRST_REG = 0x71000000, MAX_UNITS = 0x100, PAGE = 4096, MAX_QUEUE = 1 << 20 };
enum { ENTRY_VALID = 0x80 };

static Bus *the_bus;

VioDevice *vio_find(uint64_t reg)
{
    for (guint i = 0; the_bus && i < the_bus->devices->len; i++) {
        VioDevice *vio = the_bus->devices->pdata[i];

        if (vio->reg == reg && vio->s) {
            return vio;
        }
    }
    return NULL;
}

VioDevice *vio_find_type(uint64_t reg, const VioInfo *info)
{
    VioDevice *vio = vio_find(reg);

    return vio && vio->info == info ? vio : NULL;
}

uint32_t vio_irq(const VioDevice *vio)
{
    return PAPR_IRQ_VIO + (vio->reg - FIRST_REG);
}

void vio_interrupt(VioDevice *vio)
{
    if (vio->s->vio_signal) {
        papr_irq_pulse(vio_irq(vio));
    }
}

/* ---- queues ---- */

static void drop_queue(VioDevice *vio)
{
    vio->s->vio_queue = 0;
    vio->s->vio_queue_size = vio->s->vio_queue_next = 0;
    if (vio->info->queue_reset) {
        vio->info->queue_reset(vio);
    }
}

bool vio_check_queue(const VioDevice *vio)
{
    const VioState *s = vio->s;

    return s->vio_queue_size % PAGE == 0 &&
           (s->vio_queue_size ? s->vio_queue_next < s->vio_queue_size : s->vio_queue_next == 0) &&
           s->vio_queue_next % VIO_CRQ_SIZE == 0;
}

bool vio_send(VioDevice *vio, const uint8_t crq[VIO_CRQ_SIZE])
{
    VioState *s = vio->s;
    uint64_t at = s->vio_queue + s->vio_queue_next;
    uint8_t first;

    if (!s->vio_queue_size) {
        return false;
    }
    if (!papr_tce_read(vio->tce, at, &first, 1) || first != 0) {
        guest_error(vio->dev.id, "its queue is full");
        return false;
    }
    /* The first byte says that the rest is there. */
    if (!papr_tce_write(vio->tce, at + 8, crq + 8, 8) || !papr_tce_write(vio->tce, at, crq, 8)) {
        return false;
    }
    s->vio_queue_next = (s->vio_queue_next + VIO_CRQ_SIZE) % s->vio_queue_size;
    vio_interrupt(vio);
    return true;
}

static VioDevice *find_with_queue(uint64_t reg)
{
    VioDevice *vio = vio_find(reg);

    return vio && vio->info->has_queue ? vio : NULL;
}

static int64_t h_reg_crq(void *opaque, uint64_t opcode, uint64_t *args)
{
    VioDevice *vio = find_with_queue(args[0]);
    uint64_t queue = args[1], size = args[2];

    if (!vio || size < PAGE || size % PAGE || size > MAX_QUEUE || queue % PAGE ||
        queue > papr_tce_end(vio->tce) - size) {
        return H_PARAMETER;
    }
    if (vio->s->vio_queue_size) {
        return H_RESOURCE;
    }
    drop_queue(vio);
    vio->s->vio_queue = queue;
    vio->s->vio_queue_size = size;
    return H_SUCCESS;
}

static int64_t h_free_crq(void *opaque, uint64_t opcode, uint64_t *args)
{
    VioDevice *vio = find_with_queue(args[0]);

    if (!vio) {
        return H_PARAMETER;
    }
    drop_queue(vio);
    return H_SUCCESS;
}

static int64_t h_enable_crq(void *opaque, uint64_t opcode, uint64_t *args)
{
    return find_with_queue(args[0]) ? H_SUCCESS : H_PARAMETER;
}

static int64_t h_send_crq(void *opaque, uint64_t opcode, uint64_t *args)
{
    VioDevice *vio = find_with_queue(args[0]);
    uint8_t crq[VIO_CRQ_SIZE];

    if (!vio) {
        return H_PARAMETER;
    }
    if (!vio->s->vio_queue_size) {
        return H_CLOSED;
    }
    for (int i = 0; i < VIO_CRQ_SIZE; i++) {
        crq[i] = args[1 + i / 8] >> (56 - i % 8 * 8);
    }
    if (!(crq[0] & ENTRY_VALID)) {
        return H_PARAMETER;
    }
    return vio->info->message ? vio->info->message(vio, crq) : H_HARDWARE;
}

static int64_t h_vio_signal(void *opaque, uint64_t opcode, uint64_t *args)
{
    VioDevice *vio = vio_find(args[0]);

    if (!vio || args[1] > 1) {
        return H_PARAMETER;
    }
    vio->s->vio_signal = args[1];
    return H_SUCCESS;
}

/* unit, on or off. */
static int32_t rtas_set_bypass(void *opaque, PaprRtas *call)
{
    VioDevice *vio = vio_find(call->args[0]);

    if (!vio || !vio->tce) {
        return RTAS_BAD;
    }
    papr_tce_set_bypass(vio->tce, call->args[1]);
    return RTAS_OK;
}

/* ---- units ---- */

bool vio_init(VioDevice *vio, const VioInfo *info, VioState *state, GError **error)
{
    uint32_t reg = vio->reg ? vio->reg : FIRST_REG;

    while (!vio->reg && vio_find(reg)) {
        reg++;
    }
    if (reg < FIRST_REG || reg >= FIRST_REG + MAX_UNITS || vio_find(reg)) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "device '%s': unit number %#x is %s", vio->dev.id, reg,
                    vio_find(reg) ? "taken" : "not between 0x71000000 and 0x710000ff");
        return false;
    }
    vio->reg = reg;
    vio->info = info;
    if (info->window) {
        vio->tce = papr_tce_new(reg, 0, 12, info->window >> 12, error);
        if (!vio->tce) {
            return false;
        }
    }
    vio->s = state;
    return true;
}

void vio_fini(VioDevice *vio)
{
    vio->s = NULL;
    papr_tce_free(vio->tce);
    vio->tce = NULL;
}

void vio_reset(VioDevice *vio)
{
    papr_irq_claim(vio_irq(vio), PAPR_IRQ_EDGE);
    vio->s->vio_signal = !vio->info->has_queue && !vio->info->window;
    drop_queue(vio);
}

static char *vio_address(Device *dev)
{
    return g_strdup_printf("%x", ((VioDevice *)dev)->reg);
}

Bus *vio_bus_new(void)
{
    the_bus = bus_new(VIO_BUS, "spapr-vio", NULL);
    the_bus->address = vio_address;
    papr_hcall_add(H_REG_CRQ, h_reg_crq, NULL);
    papr_hcall_add(H_FREE_CRQ, h_free_crq, NULL);
    papr_hcall_add(H_ENABLE_CRQ, h_enable_crq, NULL);
    papr_hcall_add(H_SEND_CRQ, h_send_crq, NULL);
    papr_hcall_add(H_VIO_SIGNAL, h_vio_signal, NULL);
    papr_rtas_add("ibm,set-tce-bypass", 2, 0, rtas_set_bypass, NULL);
    return the_bus;
}
