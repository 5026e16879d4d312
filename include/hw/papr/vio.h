/* The virtual I/O bus of a logical partition: units with a number, an interrupt, and maybe a window for their accesses. */
#ifndef HW_PAPR_VIO_H
#define HW_PAPR_VIO_H

#include "core/device.h"
#include "hw/papr/papr.h"
#include "hw/papr/tce.h"

#define VIO_BUS "spapr-vio"
#define VIO_CRQ_SIZE 16

typedef struct VioDevice VioDevice;

/* Of a type of unit. */
typedef struct VioInfo {
    const char *name, *device_type, *compatible; /* as the device tree has them */
    uint32_t window; /* bytes of its window for accesses to memory; 0: none */
    bool has_queue;  /* a command/response queue */
    bool has_children; /* #address-cells 2, #size-cells 0 */
    /* A message came by H_SEND_CRQ. May be NULL. */
    int64_t (*message)(VioDevice *vio, const uint8_t crq[VIO_CRQ_SIZE]);
    /* The queue was freed or registered anew; may be NULL. */
    void (*queue_reset)(VioDevice *vio);
    void (*put_props)(VioDevice *vio, PaprPutProp *put, void *node); /* its own properties; may be NULL */
} VioInfo;

#define VIO_STATE(FIELD, ARRAY)                                                      \
    FIELD(bool, vio_signal, false)  /* interrupts are wanted */                      \
    FIELD(uint64_t, vio_queue, 0)   /* bus address of its queue */                   \
    FIELD(uint32_t, vio_queue_size, 0)                                               \
    FIELD(uint32_t, vio_queue_next, 0)

DEFINE_STATE(VioState, VIO_STATE);

/* Rows of an owner that has more state and embeds this as `vio`. */
#define VIO_ROW(type, name, reset)              VIO_ROW_ARRAY(type, name, 1, reset)
#define VIO_ROW_ARRAY(type, name, count, reset) \
    { #name, offsetof(Owner, vio.name), sizeof(type), count, reset, STATE_IS_BOOL(type) },

/* Head of the struct of a unit. */
struct VioDevice {
    Device dev;
    const VioInfo *info;
    uint32_t reg; /* unit number; 0: pick one */
    PaprTce *tce;
    VioState *s;  /* in its own state */
};

#define VIO_PROPS(Type) PROP(Type, vio.reg, "reg", PROP_U32, "0", "number of the unit, 0: pick one")

Bus *vio_bus_new(void); /* "spapr-vio", with its hypercalls; one per machine */
VioDevice *vio_find(uint64_t reg); /* NULL if there is none */
VioDevice *vio_find_type(uint64_t reg, const VioInfo *info); /* of that kind, NULL otherwise */

/* Parts of realize, unrealize and reset. state: where VIO_STATE is in the unit's state. */
bool vio_init(VioDevice *vio, const VioInfo *info, VioState *state, GError **error);
void vio_fini(VioDevice *vio);
void vio_reset(VioDevice *vio);
uint32_t vio_irq(const VioDevice *vio);
void vio_interrupt(VioDevice *vio); /* if the guest wants it */
/* Puts a message into the queue and interrupts; false: there is no queue, or it is full. */
bool vio_send(VioDevice *vio, const uint8_t crq[VIO_CRQ_SIZE]);
bool vio_check_queue(const VioDevice *vio); /* for post_load: what a snapshot says can be */

#endif
