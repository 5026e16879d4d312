/* A learning switch (IEEE 802.1D, 7.8), whose table no port can fill for the others. */
#include "backends/net/lan.h"

#define MAX_PER_PORT 256
#define AGE_US       (300 * G_USEC_PER_SEC)

struct Lan {
    GPtrArray *ports;
    GHashTable *table; /* address as a number (gint64 *) to Place */
};

struct LanPort {
    Lan *lan;
    LanOutput *output;
    void *opaque;
    unsigned learnt;
};

typedef struct Place {
    gint64 address;
    LanPort *port;
    int64_t seen_us;
} Place;

Lan *lan_new(void)
{
    Lan *lan = g_new0(Lan, 1);

    lan->ports = g_ptr_array_new();
    lan->table = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    return lan;
}

void lan_free(Lan *lan)
{
    g_hash_table_destroy(lan->table);
    g_ptr_array_free(lan->ports, TRUE);
    g_free(lan);
}

unsigned lan_learnt(const Lan *lan)
{
    return g_hash_table_size(lan->table);
}

LanPort *lan_port_new(Lan *lan, LanOutput *output, void *opaque)
{
    LanPort *port = g_new0(LanPort, 1);

    port->lan = lan;
    port->output = output;
    port->opaque = opaque;
    g_ptr_array_add(lan->ports, port);
    return port;
}

static gboolean is_behind(gpointer key, gpointer value, gpointer port)
{
    return ((Place *)value)->port == port;
}

void lan_port_free(LanPort *port)
{
    g_hash_table_foreach_remove(port->lan->table, is_behind, port);
    g_ptr_array_remove(port->lan->ports, port);
    g_free(port);
}

static gint64 address_of(const uint8_t *bytes)
{
    gint64 address = 0;

    for (int i = 0; i < 6; i++) {
        address = address << 8 | bytes[i];
    }
    return address;
}

static gboolean is_old(gpointer key, gpointer value, gpointer port)
{
    Place *place = value;
    bool old = place->port == port && g_get_monotonic_time() - place->seen_us > AGE_US;

    if (old) {
        place->port->learnt--;
    }
    return old;
}

static void learn(LanPort *port, const uint8_t *source)
{
    gint64 address = address_of(source);
    Place *place;

    if (source[0] & 1) {
        return; /* no station sends from a group address */
    }
    place = g_hash_table_lookup(port->lan->table, &address);
    if (!place && port->learnt >= MAX_PER_PORT) {
        g_hash_table_foreach_remove(port->lan->table, is_old, port);
        if (port->learnt >= MAX_PER_PORT) {
            return; /* it stays unknown, and its frames go everywhere */
        }
    }
    if (!place) {
        place = g_new0(Place, 1);
        place->address = address;
        g_hash_table_insert(port->lan->table, &place->address, place);
    } else {
        place->port->learnt--;
    }
    place->port = port;
    place->seen_us = g_get_monotonic_time();
    port->learnt++;
}

void lan_input(LanPort *port, const NetHeader *header, const uint8_t *frame, size_t size)
{
    Lan *lan = port->lan;
    gint64 address;
    Place *to = NULL;

    if (size < 14) {
        return;
    }
    learn(port, frame + 6);
    if (!(frame[0] & 1)) {
        address = address_of(frame);
        to = g_hash_table_lookup(lan->table, &address);
    }
    if (to) {
        if (to->port != port) {
            to->port->output(to->port->opaque, header, frame, size);
        }
        return;
    }
    for (guint i = 0; i < lan->ports->len; i++) {
        LanPort *out = g_ptr_array_index(lan->ports, i);

        if (out != port) {
            out->output(out->opaque, header, frame, size);
        }
    }
}
