/* Properties, state lists, snapshots, buses and lines. */
#include "core/device.h"
#include "core/line.h"
#include "util/error.h"

#define TOY_STATE(FIELD, ARRAY)    \
    FIELD(uint8_t, control, 0x10)  \
    FIELD(bool, busy, true)        \
    FIELD(uint64_t, counter, 0)    \
    ARRAY(uint16_t, table, 3, 7)

DEFINE_STATE(ToyState, TOY_STATE);

typedef struct Toy {
    Device dev;
    ToyState s;
    bool fast;
    uint8_t irq;
    uint64_t room;
    char *label;
    uint8_t mac[6];
    int32_t addr;
    void *chardev;
    int updates;
    bool accept;
} Toy;

static const Prop toy_props[] = {
    PROP(Toy, fast, "fast", PROP_BOOL, "on", "run quickly"),
    PROP(Toy, irq, "irq", PROP_U8, "4", "interrupt"),
    PROP(Toy, room, "size", PROP_SIZE, "1M", "bytes"),
    PROP(Toy, label, "label", PROP_STRING, "none", "text"),
    PROP(Toy, mac, "mac", PROP_MAC, NULL, "station address"),
    PROP(Toy, addr, "addr", PROP_PCI_ADDR, "-1", "place"),
    PROP(Toy, chardev, "chardev", PROP_CHAR, NULL, "host end"),
    { NULL },
};

static void toy_update(Device *dev)
{
    ((Toy *)dev)->updates++;
}

static bool toy_post_load(Device *dev, GError **error)
{
    if (((Toy *)dev)->s.counter > 1000) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "counter is too large");
        return false;
    }
    return true;
}

static const DeviceType toy_type = {
    .name = "toy",
    .about = "a toy",
    .bus = "toybox",
    .size = sizeof(Toy),
    .state_at = offsetof(Toy, s),
    .state = ToyState_fields,
    .props = toy_props,
    .post_load = toy_post_load,
    .update = toy_update,
};

static Toy *toy_new(const char *id)
{
    return (Toy *)device_new(&toy_type, id);
}

static void a_new_device_has_its_initial_values(void)
{
    g_autoptr(Device) dev = device_new(&toy_type, NULL);
    Toy *toy = (Toy *)dev;

    g_assert_cmphex(toy->s.control, ==, 0x10);
    g_assert_true(toy->s.busy);
    g_assert_cmpuint(toy->s.table[2], ==, 7);
    g_assert_true(toy->fast);
    g_assert_cmpuint(toy->irq, ==, 4);
    g_assert_cmpuint(toy->room, ==, 1 << 20);
    g_assert_cmpstr(toy->label, ==, "none");
    g_assert_cmpint(toy->addr, ==, -1);
    g_assert_true(g_str_has_prefix(dev->id, "toy."));
}

static void properties_are_set_from_text(void)
{
    g_autoptr(Device) dev = device_new(&toy_type, NULL);
    static const char *const values[][3] = {
        { "fast", "off", "off" },
        { "irq", "0x0b", "11" },
        { "size", "1.5G", "1610612736" },
        { "label", "a b", "a b" },
        { "mac", "52:54:00:AB:cd:ef", "52:54:00:ab:cd:ef" },
        { "addr", "1f.7", "1f.7" },
        { "addr", "0x3", "03.0" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        g_autofree char *text = NULL;

        g_assert_true(device_set_property(dev, values[i][0], values[i][1], NULL));
        text = device_get_property(dev, values[i][0]);
        g_assert_cmpstr(text, ==, values[i][2]);
    }
}

static void wrong_values_are_named(void)
{
    g_autoptr(Device) dev = device_new(&toy_type, NULL);
    static const char *const wrong[][3] = {
        { "mac", "xx", "property 'toy.mac': 'xx' is not a MAC address" },
        { "mac", "52:54:00:12:34-56", "property 'toy.mac': '52:54:00:12:34-56' is not a MAC address" },
        { "irq", "256", "property 'toy.irq': '256' is not a number from 0 to 255" },
        { "fast", "maybe", "property 'toy.fast': 'maybe' is not 'on' or 'off'" },
        { "addr", "20", "property 'toy.addr': '20' is not a slot[.function], as in '3' or '1f.7'" },
        { "adr", "3", "device 'toy' has no property 'adr' (did you mean 'addr'?)" },
        { "chardev", "c0", "property 'toy.chardev': 'c0': no such chardev" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(device_set_property(dev, wrong[i][0], wrong[i][1], &error));
        g_assert_error(error, VM_ERROR, VM_ERROR_USER);
        g_assert_cmpstr(error->message, ==, wrong[i][2]);
    }
}

static void a_snapshot_brings_the_state_back(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    Toy *toy = toy_new("toy-a");

    toy->s.control = 0xab;
    toy->s.busy = false;
    toy->s.counter = 999;
    toy->s.table[1] = 0xffff;
    device_save(&toy->dev, file);
    device_reset(&toy->dev);
    g_assert_cmphex(toy->s.control, ==, 0x10);
    g_assert_true(device_load(&toy->dev, file, NULL));
    g_assert_cmphex(toy->s.control, ==, 0xab);
    g_assert_false(toy->s.busy);
    g_assert_cmpuint(toy->s.counter, ==, 999);
    g_assert_cmphex(toy->s.table[1], ==, 0xffff);
    g_assert_cmpint(toy->updates, ==, 2);
    device_free(&toy->dev);
}

static void a_bad_snapshot_leaves_the_device_reset(void)
{
    static const char *const texts[] = {
        "[t]\ncontrol=100\n",        "[t]\nsurprise=1\n", "[t]\ncontrol=zz\n",
        "[t]\ntable=1 2\n",          "[t]\ntable=1 2 3 4\n", "[t]\ncounter=3e9\n",
        "[other]\ncontrol=1\n",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GKeyFile) file = g_key_file_new();
        g_autoptr(GError) error = NULL;
        Toy *toy = toy_new("t");

        g_assert_true(g_key_file_load_from_data(file, texts[i], -1, 0, NULL));
        toy->s.control = 0x55;
        g_assert_false(device_load(&toy->dev, file, &error));
        g_assert_error(error, VM_ERROR, VM_ERROR_IMAGE);
        g_assert_cmphex(toy->s.control, ==, 0x10);
        device_free(&toy->dev);
    }
}

static void an_old_snapshot_resets_new_fields(void)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    Toy *toy = toy_new("t");

    g_assert_true(g_key_file_load_from_data(file, "[t]\ncounter=5\nextra.fifo=00\n", -1, 0, NULL));
    toy->s.control = 0x55;
    g_assert_true(device_load(&toy->dev, file, NULL));
    g_assert_cmphex(toy->s.control, ==, 0x10);
    g_assert_cmpuint(toy->s.counter, ==, 5);
    device_free(&toy->dev);
}

static bool attach(Bus *bus, Device *dev, GError **error)
{
    if (bus->devices->len == 1) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "'%s' is full", bus->name);
        return false;
    }
    return true;
}

static void a_bus_checks_what_joins_it(void)
{
    Bus *box = bus_new("toybox", "box.0", NULL), *pci = bus_new("pci", "pci.9", NULL);
    g_autoptr(GError) error = NULL;
    Toy *a = toy_new("a"), *b = toy_new("b"), *twin = toy_new("a");

    box->attach = attach;
    g_assert_false(device_realize(&a->dev, pci, NULL));
    g_assert_true(device_realize(&a->dev, box, NULL));
    g_assert_false(device_realize(&b->dev, box, &error));
    g_assert_cmpstr(error->message, ==, "'box.0' is full");
    g_assert_false(device_realize(&twin->dev, NULL, NULL));
    g_assert_true(device_find("a") == &a->dev);
    g_assert_true(bus_find("box.0") == box && bus_find_kind("pci") == pci);
    device_free(&b->dev);
    device_free(&twin->dev);
    bus_free(box);
    g_assert_null(device_find("a"));
    bus_free(pci);
}

static int changes;
static bool seen;

static void watch(void *opaque, int n, bool level)
{
    changes++;
    seen = level;
}

static void a_gate_is_high_while_an_input_is(void)
{
    Line *out = line_new(watch, NULL, 0);
    Line **in = line_or_gate(out, 2);
    Line *both = line_split(in[0], in[1]);

    line_set(in[0], true);
    line_set(in[1], true);
    line_set(in[1], true);
    line_set(in[0], false);
    g_assert_true(seen);
    g_assert_cmpint(changes, ==, 1);
    line_set(in[1], false);
    g_assert_false(seen);
    line_pulse(both);
    g_assert_cmpint(changes, ==, 4);
    line_set(NULL, true);
    line_free(both);
    line_free(in[0]);
    line_free(in[1]);
    g_free(in);
    line_free(out);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(fn) g_test_add_func("/device/" #fn, fn)
    ADD(a_new_device_has_its_initial_values);
    ADD(properties_are_set_from_text);
    ADD(wrong_values_are_named);
    ADD(a_snapshot_brings_the_state_back);
    ADD(a_bad_snapshot_leaves_the_device_reset);
    ADD(an_old_snapshot_resets_new_fields);
    ADD(a_bus_checks_what_joins_it);
    ADD(a_gate_is_high_while_an_input_is);
    return g_test_run();
}
