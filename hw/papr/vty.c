/*
 * spapr-vty: a virtual terminal, whose characters come and go by hypercalls.
 *
 * LoPAPR 1.1, 16.2. Up to sixteen characters are in two registers, the first in the most significant byte.
 */
#include "backends/char.h"
#include "hw/papr/vio.h"
#include "util/bits.h"

#include <string.h>

enum { AT_ONCE = 16, BUFFER = 32 };

#define VTY_STATE(FIELD, ARRAY)       \
    ARRAY(uint8_t, data, BUFFER, 0)   \
    FIELD(uint8_t, head, 0)           \
    FIELD(uint8_t, count, 0)

typedef struct VtyState {
    VTY_STATE(STATE_MEMBER, STATE_MEMBER_ARRAY)
    VioState vio;
} VtyState;

static const StateField *vty_fields(size_t *count)
{
    typedef VtyState Owner;
    static const StateField rows[] = { VTY_STATE(STATE_ROW, STATE_ROW_ARRAY) VIO_STATE(VIO_ROW, VIO_ROW_ARRAY) };

    *count = G_N_ELEMENTS(rows);
    return rows;
}

typedef struct Vty {
    VioDevice vio;
    VtyState s;
    CharBackend *chr;
} Vty;

static const VioInfo info = { .name = "vty", .device_type = "serial", .compatible = "hvterm1" };

static size_t vty_can_receive(void *opaque)
{
    Vty *vty = opaque;

    return BUFFER - vty->s.count;
}

static void vty_receive(void *opaque, const uint8_t *data, size_t size)
{
    Vty *vty = opaque;
    bool was_empty = vty->s.count == 0;

    for (size_t i = 0; i < size && vty->s.count < BUFFER; i++) {
        vty->s.data[(vty->s.head + vty->s.count++) % BUFFER] = data[i];
    }
    if (was_empty && vty->s.count) {
        vio_interrupt(&vty->vio);
    }
}

static const CharFrontend frontend = { vty_can_receive, vty_receive, NULL };

/* Number 0 is the console: the first one there is. */
static Vty *find_vty(uint64_t reg)
{
    Bus *bus = bus_find_kind(VIO_BUS);
    VioDevice *first = NULL;

    if (reg) {
        return (Vty *)vio_find_type(reg, &info);
    }
    for (guint i = 0; bus && i < bus->devices->len; i++) {
        VioDevice *vio = bus->devices->pdata[i];

        if (vio->info == &info && (!first || vio->reg < first->reg)) {
            first = vio;
        }
    }
    return (Vty *)first;
}

static int64_t h_put_term_char(void *opaque, uint64_t opcode, uint64_t *args)
{
    Vty *vty = find_vty(args[0]);
    uint8_t text[AT_ONCE];

    if (!vty || args[1] > AT_ONCE) {
        return H_PARAMETER;
    }
    store_be64(text, args[2]);
    store_be64(text + 8, args[3]);
    if (vty->chr) {
        char_write(vty->chr, text, args[1]);
    }
    return H_SUCCESS;
}

static int64_t h_get_term_char(void *opaque, uint64_t opcode, uint64_t *args)
{
    Vty *vty = find_vty(args[0]);
    uint8_t text[AT_ONCE] = { 0 };
    unsigned count = 0;

    if (!vty) {
        return H_PARAMETER;
    }
    while (count < AT_ONCE && vty->s.count) {
        text[count++] = vty->s.data[vty->s.head];
        vty->s.head = (vty->s.head + 1) % BUFFER;
        vty->s.count--;
    }
    args[0] = count;
    args[1] = load_be64(text);
    args[2] = load_be64(text + 8);
    if (count && vty->chr) {
        char_accept(vty->chr);
    }
    return H_SUCCESS;
}

static int32_t rtas_display_character(void *opaque, PaprRtas *call)
{
    Vty *vty = find_vty(0);
    uint8_t character = call->args[0];

    if (!vty) {
        return RTAS_BAD;
    }
    if (vty->chr) {
        char_write(vty->chr, &character, 1);
    }
    return RTAS_OK;
}

static bool vty_realize(Device *dev, GError **error)
{
    Vty *vty = (Vty *)dev;

    if (vty->chr && !char_attach(vty->chr, &frontend, vty, error)) {
        return false;
    }
    papr_hcall_add(H_PUT_TERM_CHAR, h_put_term_char, NULL);
    papr_hcall_add(H_GET_TERM_CHAR, h_get_term_char, NULL);
    papr_rtas_add("display-character", 1, 1, rtas_display_character, NULL);
    return vio_init(&vty->vio, &info, &vty->s.vio, error);
}

static void vty_reset(Device *dev)
{
    vio_reset(&((Vty *)dev)->vio);
}

static bool vty_post_load(Device *dev, GError **error)
{
    Vty *vty = (Vty *)dev;

    vty->s.head %= BUFFER;
    vty->s.count = MIN(vty->s.count, BUFFER);
    return true;
}

static const Prop vty_props[] = {
    VIO_PROPS(Vty),
    PROP(Vty, chr, "chardev", PROP_CHAR, NULL, "character device"),
    { 0 },
};

const DeviceType spapr_vty_type = {
    .name = "spapr-vty",
    .about = "virtual terminal of a logical partition",
    .bus = VIO_BUS,
    .user = true,
    .size = sizeof(Vty),
    .state_at = offsetof(Vty, s),
    .state = vty_fields,
    .props = vty_props,
    .realize = vty_realize,
    .reset = vty_reset,
    .post_load = vty_post_load,
};
