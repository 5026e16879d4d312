/*
 * Virtio console device: serial ports, with a control queue by which they are named, opened and closed. VIRTIO 1.2, 5.3.
 *
 * The ports are devices of their own on the bus that this one has: virtconsole and virtserialport.
 */
#include "hw/virtio/virtio.h"

#include "backends/char.h"
#include "core/mainloop.h"
#include "util/bits.h"
#include "util/error.h"

enum { F_SIZE = 0, F_MULTIPORT = 1, F_EMERG_WRITE = 2 };
enum { CONFIG_SIZE = 12, CONFIG_EMERG = 8, QUEUE_SIZE = 128, CONTROL_QUEUE_SIZE = 32, MAX_PORTS = 31 };
enum { CONTROL_IN = 2, CONTROL_OUT = 3, CONTROL_SIZE = 8 };
enum { /* control events, 5.3.6.2 */
    DEVICE_READY = 0, DEVICE_ADD = 1, DEVICE_REMOVE = 2, PORT_READY = 3, CONSOLE_PORT = 4, PORT_OPEN = 6, PORT_NAME = 7,
};
enum { STEP = 4096 };

typedef struct SerialPort SerialPort;

typedef struct VirtioSerial {
    VirtioDevice v;
    Bus bus;
    uint32_t max_ports;
    SerialPort *ports[MAX_PORTS];
    GQueue messages; /* of GBytes: control messages that wait for a buffer; bounded by what ports can say */
} VirtioSerial;

struct SerialPort {
    Device dev;
    VirtioSerial *serial;
    CharBackend *chr;
    char *name;
    uint32_t nr;
    bool is_console;
    bool open; /* the guest has it open */
};

/* ---- queues of a port ---- */

static VirtQueue *port_in(SerialPort *p)
{
    return virtio_queue(&p->serial->v, p->nr ? 2 * p->nr + 2 : 0);
}

static SerialPort *port_of(VirtioSerial *s, unsigned queue)
{
    unsigned nr = queue < 2 ? 0 : queue / 2 - 1;

    return nr < MAX_PORTS ? s->ports[nr] : NULL;
}

/* ---- control messages to the driver ---- */

static void send_messages(VirtioSerial *s)
{
    VirtQueue *q = virtio_queue(&s->v, CONTROL_IN);
    VirtqChain *chain;

    while (!g_queue_is_empty(&s->messages) && (chain = virtq_pop(q, sizeof(*chain)))) {
        GBytes *message = g_queue_pop_head(&s->messages);
        gsize size;
        const void *bytes = g_bytes_get_data(message, &size);

        virtq_push(chain, iov_write(chain->in, chain->in_count, 0, bytes, size));
        g_bytes_unref(message);
    }
    virtq_notify(q);
}

static void say(VirtioSerial *s, uint32_t nr, uint16_t event, uint16_t value, const char *text)
{
    size_t size = CONTROL_SIZE + (text ? strlen(text) : 0);
    uint8_t *m;

    if (!virtio_has(&s->v, F_MULTIPORT) || g_queue_get_length(&s->messages) > 8 * MAX_PORTS) {
        return;
    }
    m = g_malloc0(size);
    store_le32(m, nr);
    store_le16(m + 4, event);
    store_le16(m + 6, value);
    if (text) {
        memcpy(m + CONTROL_SIZE, text, strlen(text));
    }
    g_queue_push_tail(&s->messages, g_bytes_new_take(m, size));
    send_messages(s);
}

static bool host_open(SerialPort *p)
{
    return p->chr && char_connected(p->chr);
}

static void introduce(SerialPort *p)
{
    if (p->is_console) {
        say(p->serial, p->nr, CONSOLE_PORT, 1, NULL);
    }
    if (p->name && *p->name) {
        say(p->serial, p->nr, PORT_NAME, 1, p->name);
    }
    if (host_open(p)) {
        say(p->serial, p->nr, PORT_OPEN, 1, NULL);
    }
}

/* ---- control messages from the driver ---- */

static void take_message(VirtioSerial *s, const uint8_t *m)
{
    uint32_t nr = load_le32(m);
    uint16_t event = load_le16(m + 4), value = load_le16(m + 6);
    SerialPort *p = nr < MAX_PORTS ? s->ports[nr] : NULL;

    if (event == DEVICE_READY && value) {
        for (int i = 0; i < MAX_PORTS; i++) {
            if (s->ports[i]) {
                say(s, i, DEVICE_ADD, 1, NULL);
            }
        }
    } else if (p && event == PORT_READY && value) {
        introduce(p);
    } else if (p && event == PORT_OPEN) {
        p->open = value;
        if (p->open && p->chr) {
            char_accept(p->chr);
        }
    }
}

static void take_messages(VirtioSerial *s, VirtQueue *q)
{
    VirtqChain *chain;

    while ((chain = virtq_pop(q, sizeof(*chain)))) {
        uint8_t m[CONTROL_SIZE];

        if (iov_read(chain->out, chain->out_count, 0, m, CONTROL_SIZE) == CONTROL_SIZE) {
            take_message(s, m);
        }
        virtq_push(chain, 0);
    }
    virtq_notify(q);
}

/* ---- data ---- */

static void take_output(SerialPort *p, VirtQueue *q)
{
    VirtqChain *chain;

    while ((chain = virtq_pop(q, sizeof(*chain)))) {
        for (unsigned i = 0; p && p->chr && i < chain->out_count; i++) {
            char_write(p->chr, chain->out[i].iov_base, chain->out[i].iov_len);
        }
        virtq_push(chain, 0);
    }
    virtq_notify(q);
}

/* A driver that knows of one port only does not say that it opens it. */
static bool guest_open(const SerialPort *p)
{
    return p->open || !virtio_has(&p->serial->v, F_MULTIPORT);
}

static size_t can_receive(void *opaque)
{
    SerialPort *p = opaque;
    VirtQueue *q = port_in(p);
    VirtqChain *chain = guest_open(p) ? virtq_pop(q, sizeof(*chain)) : NULL;
    size_t room = chain ? chain->in_size : 0;

    if (chain) {
        virtq_unpop(chain);
    }
    return MIN(room, STEP);
}

static void receive(void *opaque, const uint8_t *data, size_t size)
{
    SerialPort *p = opaque;
    VirtQueue *q = port_in(p);
    VirtqChain *chain;

    while (size && (chain = virtq_pop(q, sizeof(*chain)))) {
        size_t n = iov_write(chain->in, chain->in_count, 0, data, size);

        virtq_push(chain, n);
        data += n;
        size -= n;
    }
    virtq_notify(q);
}

static void char_event(void *opaque, CharEvent event)
{
    SerialPort *p = opaque;

    if (event != CHAR_BREAK && virtio_ready(&p->serial->v)) {
        say(p->serial, p->nr, PORT_OPEN, event == CHAR_OPENED, NULL);
    }
}

static void serial_notify(VirtioDevice *v, VirtQueue *q)
{
    VirtioSerial *s = (VirtioSerial *)v;
    unsigned index = virtq_index(q);
    SerialPort *p = port_of(s, index);

    if (index == CONTROL_IN) {
        send_messages(s);
    } else if (index == CONTROL_OUT) {
        take_messages(s, q);
    } else if (index & 1) {
        take_output(p, q);
    } else if (p && p->chr) {
        char_accept(p->chr);
    }
}

/* ---- the controller ---- */

static void get_config(VirtioDevice *v, uint8_t *config)
{
    store_le32(config + 4, ((VirtioSerial *)v)->max_ports);
}

/* A kernel that cannot use queues yet, or any more, writes its last words here. */
static void set_config(VirtioDevice *v, unsigned offset, const uint8_t *bytes, unsigned size)
{
    SerialPort *p = ((VirtioSerial *)v)->ports[0];

    if (offset == CONFIG_EMERG && p && p->chr) {
        char_write(p->chr, bytes, 1);
    }
}

static uint64_t serial_features(VirtioDevice *v)
{
    return VIRTIO_BIT(F_EMERG_WRITE) | (((VirtioSerial *)v)->max_ports > 1 ? VIRTIO_BIT(F_MULTIPORT) : 0);
}

static bool serial_realize(VirtioDevice *v, GError **error)
{
    static int number;
    VirtioSerial *s = (VirtioSerial *)v;
    g_autofree char *name = g_strdup_printf("virtio-serial%d.0", number++);

    if (!s->max_ports || s->max_ports > MAX_PORTS) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "virtio-serial: max_ports=%u is not from 1 to %d", s->max_ports,
                    MAX_PORTS);
        return false;
    }
    for (uint32_t i = 0; i < 2 * (s->max_ports + 1); i++) {
        virtio_add_queue(v, i / 2 == 1 ? CONTROL_QUEUE_SIZE : QUEUE_SIZE);
    }
    v->vectors = v->vectors == UINT32_MAX ? MIN(2 * s->max_ports + 3, 8) : v->vectors;
    bus_init(&s->bus, "virtio-serial-bus", name, &v->pci.dev);
    g_queue_init(&s->messages);
    return true;
}

static void drop_messages(VirtioSerial *s)
{
    g_queue_clear_full(&s->messages, (GDestroyNotify)g_bytes_unref);
}

static void serial_unrealize(VirtioDevice *v)
{
    VirtioSerial *s = (VirtioSerial *)v;

    bus_clear(&s->bus);
    drop_messages(s);
}

static void serial_reset(VirtioDevice *v, VirtQueue *q)
{
    VirtioSerial *s = (VirtioSerial *)v;

    if (q) {
        return;
    }
    drop_messages(s);
    for (int i = 0; i < MAX_PORTS; i++) {
        if (s->ports[i]) {
            s->ports[i]->open = false;
        }
    }
}

static void serial_save(VirtioDevice *v, GKeyFile *out)
{
    VirtioSerial *s = (VirtioSerial *)v;
    uint64_t open = 0;

    for (int i = 0; i < MAX_PORTS; i++) {
        open |= s->ports[i] && s->ports[i]->open ? VIRTIO_BIT(i) : 0;
    }
    g_key_file_set_uint64(out, v->pci.dev.id, "serial.open", open);
}

static bool serial_load(VirtioDevice *v, GKeyFile *in, GError **error)
{
    VirtioSerial *s = (VirtioSerial *)v;
    uint64_t open = g_key_file_get_uint64(in, v->pci.dev.id, "serial.open", NULL);

    for (int i = 0; i < MAX_PORTS; i++) {
        if (s->ports[i]) {
            s->ports[i]->open = open >> i & 1;
        }
    }
    return true;
}

static const VirtioClass serial_class = {
    .name = "virtio-serial", .id = VIRTIO_ID_CONSOLE, .legacy_id = 0x1003, .pci_class = 0x078000,
    .config_size = CONFIG_SIZE, .realize = serial_realize, .unrealize = serial_unrealize, .features = serial_features,
    .get_config = get_config, .set_config = set_config, .notify = serial_notify, .reset = serial_reset,
    .save = serial_save, .load = serial_load,
};

static const Prop serial_props[] = {
    VIRTIO_PROPS(VirtioSerial),
    PROP(VirtioSerial, max_ports, "max_ports", PROP_U32, "31", "how many ports the bus has room for"),
    { 0 },
};

VIRTIO_TYPES(virtio_serial, "virtio-serial", "virtio-serial", "virtio console controller", VirtioSerial, &serial_class,
             serial_props, NULL, 0, true);

/* ---- the ports ---- */

/* Port 0 is for a console: a driver without multiport takes it for one. */
static bool choose_number(SerialPort *p, GError **error)
{
    VirtioSerial *s = p->serial;

    if (p->nr == UINT32_MAX) {
        for (p->nr = p->is_console ? 0 : 1; p->nr < s->max_ports && s->ports[p->nr];) {
            p->nr++;
        }
    }
    if (p->nr >= s->max_ports || s->ports[p->nr]) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "bus '%s' has no free port%s", s->bus.name,
                    p->nr < s->max_ports ? " of this number" : "");
        return false;
    }
    return true;
}

static bool port_realize(Device *dev, GError **error)
{
    static const CharFrontend frontend = { can_receive, receive, char_event };
    SerialPort *p = (SerialPort *)dev;

    p->serial = (VirtioSerial *)dev->bus->owner;
    p->is_console = g_str_equal(dev->type->name, "virtconsole");
    if (!choose_number(p, error) || (p->chr && !char_attach(p->chr, &frontend, p, error))) {
        return false;
    }
    p->serial->ports[p->nr] = p;
    if (virtio_ready(&p->serial->v)) {
        say(p->serial, p->nr, DEVICE_ADD, 1, NULL);
    }
    return true;
}

static void port_unrealize(Device *dev)
{
    SerialPort *p = (SerialPort *)dev;

    if (p->chr) {
        char_detach(p->chr, p);
    }
    p->serial->ports[p->nr] = NULL;
    if (virtio_ready(&p->serial->v)) {
        say(p->serial, p->nr, DEVICE_REMOVE, 1, NULL);
    }
}

static const Prop port_props[] = {
    PROP(SerialPort, chr, "chardev", PROP_CHAR, NULL, "character backend"),
    PROP(SerialPort, name, "name", PROP_STRING, NULL, "what the guest finds it by"),
    PROP(SerialPort, nr, "nr", PROP_U32, "4294967295", "number on the bus; default: the first free one"),
    { 0 },
};

#define PORT_TYPE(spelling, text)                                                                                   \
    {                                                                                                               \
        .name = spelling, .about = text, .bus = "virtio-serial-bus", .user = true, .hotplug = true,                 \
        .size = sizeof(SerialPort), .props = port_props, .realize = port_realize, .unrealize = port_unrealize,      \
    }

const DeviceType virtserialport_type = PORT_TYPE("virtserialport", "port of a virtio-serial controller");
const DeviceType virtconsole_type = PORT_TYPE("virtconsole", "console on a virtio-serial controller");
