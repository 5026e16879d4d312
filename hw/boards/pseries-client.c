/*
 * The built-in Open Firmware of the pseries board: the client interface, for kernels that are started directly.
 *
 * IEEE 1275-1994, 6.3, and its PowerPC binding. The client calls a few instructions of ours, which make a hypercall; the
 * answers come from the device tree, of which a copy is kept as nodes and properties. Memory is given out by `claim`.
 */
#include "hw/boards/pseries.h"

#include "core/lock.h"
#include "hw/papr/vio.h"
#include "target/ppc/cpu.h"
#include "util/bits.h"
#include "util/log.h"

#include <libfdt.h>
#include <string.h>

/* The lowest 64 KiB are ours: the way in at ENTRY, a stack for the client below STACK. */
enum { ENTRY = 0x4000, STACK = 0xfe00, OURS = 0x10000, PAGE = 4096 };
enum { MAX_ARGS = 16, NAME_MAX_SIZE = 128, PATH_MAX_SIZE = 512, VALUE_MAX = 1 << 20, MAX_CLAIMS = 256, MAX_PROPS = 4096 };
enum { VALUES_MAX = 16 << 20, WRITE_MAX = 1 << 16 }; /* what a client may have kept, and written at a time */
/* Names are longer than the standard's 31 characters on these machines: clients have room for 64. */
enum { PROP_NAME_ROOM = 64 };
enum { FIRST_HANDLE = 0x2000, FIRST_INSTANCE = 0x1000, MAX_INSTANCES = 64 };
#define NOTHING UINT32_MAX

typedef struct ClientProp {
    char *name;
    GBytes *value;
} ClientProp;

typedef struct ClientNode {
    char *name;       /* with the unit's address; "" for the root */
    GPtrArray *props; /* ClientProp */
    struct ClientNode *parent, *child, *peer;
    uint32_t handle;
} ClientNode;

typedef struct Claim {
    uint64_t start, end;
} Claim;

static struct {
    Pseries *m;
    ClientNode *root;
    GHashTable *handles; /* path to handle, which a new tree keeps */
    uint32_t next_handle;
    ClientNode *instances[MAX_INSTANCES]; /* what was opened; [0] is the console, [1] the processor */
    char *instance_paths[MAX_INSTANCES];
    GArray *claims;
    unsigned n_props; /* that the client has made, and the bytes of all values */
    size_t n_bytes;
} client;

/* ---- the tree ---- */

static void free_prop(void *opaque)
{
    ClientProp *prop = opaque;

    g_free(prop->name);
    g_bytes_unref(prop->value);
    g_free(prop);
}

static void free_node(ClientNode *node)
{
    while (node) {
        ClientNode *peer = node->peer;

        free_node(node->child);
        g_ptr_array_unref(node->props);
        g_free(node->name);
        g_free(node);
        node = peer;
    }
}

static ClientProp *find_prop(const ClientNode *node, const char *name)
{
    for (guint i = 0; i < node->props->len; i++) {
        ClientProp *prop = node->props->pdata[i];

        if (g_str_equal(prop->name, name)) {
            return prop;
        }
    }
    return NULL;
}

static void set_prop(ClientNode *node, const char *name, const void *data, size_t size)
{
    ClientProp *prop = find_prop(node, name);

    client.n_bytes += size - (prop ? g_bytes_get_size(prop->value) : 0);
    if (!prop) {
        prop = g_new0(ClientProp, 1);
        prop->name = g_strdup(name);
        g_ptr_array_add(node->props, prop);
    } else {
        g_bytes_unref(prop->value);
    }
    prop->value = g_bytes_new(data, size);
}

/* Whether a client may do so; the tree itself is as large as the machine has it. */
static bool may_set_prop(const ClientNode *node, const char *name, size_t size)
{
    const ClientProp *prop = find_prop(node, name);

    return size <= VALUE_MAX && client.n_bytes + size <= VALUES_MAX && (prop || client.n_props < MAX_PROPS);
}

static void set_cell(ClientNode *node, const char *name, uint32_t value)
{
    uint8_t bytes[4];

    store_be32(bytes, value);
    set_prop(node, name, bytes, sizeof(bytes));
}

static char *path_of(const ClientNode *node)
{
    g_autofree char *above = NULL;

    if (!node->parent) {
        return g_strdup("/");
    }
    above = path_of(node->parent);
    return g_strconcat(node->parent->parent ? above : "", "/", node->name, NULL);
}

static uint32_t handle_of(const ClientNode *node)
{
    g_autofree char *path = path_of(node);
    ClientProp *prop = find_prop(node, "phandle");
    uint32_t handle = GPOINTER_TO_UINT(g_hash_table_lookup(client.handles, path));

    if (prop && g_bytes_get_size(prop->value) == 4) {
        return load_be32(g_bytes_get_data(prop->value, NULL));
    }
    if (!handle) {
        handle = client.next_handle++;
        g_hash_table_insert(client.handles, g_steal_pointer(&path), GUINT_TO_POINTER(handle));
    }
    return handle;
}

static ClientNode *read_node(const void *fdt, int offset, ClientNode *parent)
{
    ClientNode *node = g_new0(ClientNode, 1), **next = &node->child;
    int at;

    node->name = g_strdup(fdt_get_name(fdt, offset, NULL));
    node->parent = parent;
    node->props = g_ptr_array_new_with_free_func(free_prop);
    fdt_for_each_property_offset(at, fdt, offset) {
        const char *name;
        int size;
        const void *data = fdt_getprop_by_offset(fdt, at, &name, &size);

        set_prop(node, name, data, size);
    }
    node->handle = handle_of(node);
    fdt_for_each_subnode(at, fdt, offset) {
        *next = read_node(fdt, at, node);
        next = &(*next)->peer;
    }
    return node;
}

static ClientNode *find_handle(ClientNode *node, uint32_t handle)
{
    for (; node; node = node->peer) {
        ClientNode *below;

        if (node->handle == handle) {
            return node;
        }
        below = find_handle(node->child, handle);
        if (below) {
            return below;
        }
    }
    return NULL;
}

static ClientNode *by_handle(uint32_t handle)
{
    return find_handle(client.root, handle);
}

/* name: of one step; without an address it fits any. */
static bool name_fits(const ClientNode *node, const char *name, size_t size)
{
    return strncmp(node->name, name, size) == 0 &&
           (node->name[size] == '\0' || (node->name[size] == '@' && !memchr(name, '@', size)));
}

/* Arguments behind a colon are left out. */
static ClientNode *by_path(const char *path)
{
    ClientNode *node = client.root;

    if (*path != '/') {
        return NULL;
    }
    while (node && *path) {
        size_t size;

        path += strspn(path, "/");
        size = strcspn(path, "/:");
        if (size) {
            node = node->child;
            while (node && !name_fits(node, path, size)) {
                node = node->peer;
            }
        }
        path += size;
        if (*path == ':') {
            break;
        }
    }
    return node;
}

/* ---- instances ---- */

static ClientNode *by_instance(uint32_t instance)
{
    uint32_t n = instance - FIRST_INSTANCE;

    return n < MAX_INSTANCES ? client.instances[n] : NULL;
}

static uint32_t open_path(const char *path)
{
    ClientNode *node = by_path(path);

    for (unsigned i = 0; node && i < MAX_INSTANCES; i++) {
        if (!client.instances[i]) {
            client.instances[i] = node;
            client.instance_paths[i] = path_of(node);
            return FIRST_INSTANCE + i;
        }
    }
    return 0;
}

static void close_instance(uint32_t instance)
{
    uint32_t n = instance - FIRST_INSTANCE;

    if (n < MAX_INSTANCES) {
        client.instances[n] = NULL;
        g_clear_pointer(&client.instance_paths[n], g_free);
    }
}

/* Takes the place of the tree that there is; what is open stays open. */
static void adopt_tree(uint8_t *tree)
{
    ClientNode *chosen;

    free_node(client.root);
    client.n_props = 0;
    client.n_bytes = 0;
    client.root = read_node(tree, 0, NULL);
    g_free(tree);
    for (unsigned i = 0; i < MAX_INSTANCES; i++) {
        client.instances[i] = client.instance_paths[i] ? by_path(client.instance_paths[i]) : NULL;
    }
    chosen = by_path("/chosen");
    set_cell(chosen, "stdout", FIRST_INSTANCE);
    set_cell(chosen, "stdin", FIRST_INSTANCE);
    set_cell(chosen, "cpu", FIRST_INSTANCE + 1);
}

/* ---- memory ---- */

static bool is_free(uint64_t start, uint64_t end)
{
    for (guint i = 0; i < client.claims->len; i++) {
        const Claim *c = &g_array_index(client.claims, Claim, i);

        if (start < c->end && c->start < end) {
            return false;
        }
    }
    return end <= machine_config.ram_size && end <= UINT32_MAX;
}

static void add_claim(uint64_t start, uint64_t size)
{
    Claim c = { start & -(uint64_t)PAGE, round_up(start + size, PAGE) };

    g_array_append_val(client.claims, c);
}

/* align 0: at that very address. */
static uint32_t claim(uint32_t wanted, uint32_t size, uint32_t align)
{
    uint64_t at = wanted, step = MAX(round_up(align, PAGE), PAGE);

    if (client.claims->len == MAX_CLAIMS || !size) {
        return NOTHING;
    }
    for (at = align ? 0 : wanted; align && !is_free(at, at + size); at += step) {
        if (at > UINT32_MAX) {
            return NOTHING;
        }
    }
    if (!is_free(at, at + size)) {
        return NOTHING;
    }
    add_claim(at, size);
    return at;
}

static void release(uint32_t start, uint32_t size)
{
    for (guint i = 0; i < client.claims->len; i++) {
        Claim *c = &g_array_index(client.claims, Claim, i);

        if (c->start == start && c->end == round_up((uint64_t)start + size, PAGE)) {
            g_array_remove_index_fast(client.claims, i);
            return;
        }
    }
}

/* ---- services ---- */

typedef struct Call {
    char service[NAME_MAX_SIZE];
    uint32_t args[MAX_ARGS], rets[MAX_ARGS];
    unsigned nargs, nrets;
} Call;

/* At most size - 1 characters. */
static void get_text(PhysAddr addr, char *text, size_t size)
{
    for (size_t i = 0; i < size - 1; i++) {
        memory_read(memory_system(), addr + i, &text[i], 1);
        if (!text[i]) {
            return;
        }
    }
    text[size - 1] = '\0';
}

static uint32_t handle_or_none(const ClientNode *node)
{
    return node ? node->handle : 0;
}

static uint32_t put_text(PhysAddr addr, uint32_t room, const char *text)
{
    memory_write(memory_system(), addr, text, MIN(room, strlen(text) + 1));
    return strlen(text);
}

/* The property "name" is that of the node without its address. */
static GBytes *value_of(const ClientNode *node, const char *name)
{
    ClientProp *prop = find_prop(node, name);
    size_t size = strcspn(node->name, "@");
    g_autofree char *text = NULL;

    if (prop) {
        return g_bytes_ref(prop->value);
    }
    if (!g_str_equal(name, "name")) {
        return NULL;
    }
    text = g_strndup(node->name, size);
    return g_bytes_new(text, size + 1);
}

/* node, name, buffer, room; NULL buffer: only the size is wanted. */
static uint32_t get_prop(const Call *c, bool with_value)
{
    ClientNode *node = by_handle(c->args[0]);
    char name[NAME_MAX_SIZE];
    GBytes *value;
    gsize size;

    get_text(c->args[1], name, sizeof(name));
    value = node ? value_of(node, name) : NULL;
    if (!value) {
        return NOTHING;
    }
    size = g_bytes_get_size(value);
    if (with_value) {
        memory_write(memory_system(), c->args[2], g_bytes_get_data(value, NULL), MIN(size, c->args[3]));
    }
    g_bytes_unref(value);
    return size;
}

static uint32_t set_prop_service(const Call *c)
{
    ClientNode *node = by_handle(c->args[0]);
    uint32_t size = c->args[3];
    char name[NAME_MAX_SIZE];
    g_autofree uint8_t *value = NULL;

    get_text(c->args[1], name, sizeof(name));
    if (!node || !*name || !may_set_prop(node, name, size)) {
        return NOTHING;
    }
    value = g_malloc(size + 1);
    memory_read(memory_system(), c->args[2], value, size);
    client.n_props += !find_prop(node, name);
    set_prop(node, name, value, size);
    return size;
}

/* The name of the property behind that one, "" begins: 1, or 0 at the end. */
static uint32_t next_prop(const Call *c)
{
    ClientNode *node = by_handle(c->args[0]);
    char name[NAME_MAX_SIZE];
    guint i = 0;

    get_text(c->args[1], name, sizeof(name));
    if (!node) {
        return NOTHING;
    }
    while (*name && i < node->props->len && !g_str_equal(((ClientProp *)node->props->pdata[i])->name, name)) {
        i++;
    }
    i += *name != '\0';
    if (i >= node->props->len) {
        put_text(c->args[2], 1, "");
        return 0;
    }
    put_text(c->args[2], PROP_NAME_ROOM, ((ClientProp *)node->props->pdata[i])->name);
    return 1;
}

static uint32_t path_service(ClientNode *node, PhysAddr buffer, uint32_t room)
{
    g_autofree char *path = node ? path_of(node) : NULL;

    return path ? put_text(buffer, room, path) : NOTHING;
}

static uint32_t write_console(const Call *c)
{
    uint32_t left = MIN(c->args[2], WRITE_MAX);

    if (!by_instance(c->args[0])) {
        return NOTHING;
    }
    for (uint32_t at = 0; at < left; at += 16) {
        uint8_t text[16] = { 0 };
        uint64_t args[PAPR_HCALL_ARGS] = { 0, MIN(left - at, 16) };

        memory_read(memory_system(), c->args[1] + at, text, args[1]);
        args[2] = load_be64(text);
        args[3] = load_be64(text + 8);
        papr_hcall(H_PUT_TERM_CHAR, args);
    }
    return left;
}

static uint32_t read_console(const Call *c)
{
    uint64_t args[PAPR_HCALL_ARGS] = { 0 };
    uint8_t text[16];

    if (!by_instance(c->args[0]) || papr_hcall(H_GET_TERM_CHAR, args) != H_SUCCESS) {
        return NOTHING;
    }
    store_be64(text, args[1]);
    store_be64(text + 8, args[2]);
    memory_write(memory_system(), c->args[1], text, MIN(args[0], c->args[2]));
    return MIN(args[0], c->args[2]);
}

/* A few instructions that pass R3 on as R4 with the hypercall's number: li r3; ori; sc 1; blr. */
static void put_way_in(PhysAddr addr, uint16_t number)
{
    static const uint32_t before[] = { 0x7c641b78 /* mr r4,r3 */, 0x38600000 /* li r3,0 */ };
    static const uint32_t after[] = { 0x44000022 /* sc 1 */, 0x4e800020 /* blr */ };
    uint8_t code[20];

    store_be32(code, before[0]);
    store_be32(code + 4, before[1]);
    store_be32(code + 8, 0x60630000 | number /* ori r3,r3,number */);
    store_be32(code + 12, after[0]);
    store_be32(code + 16, after[1]);
    memory_write(memory_system(), addr, code, sizeof(code));
}

/* method, instance, arguments -> whether it failed, results. */
static uint32_t call_method(Call *c)
{
    ClientNode *node = by_instance(c->args[1]);
    char method[NAME_MAX_SIZE];
    size_t size;

    get_text(c->args[0], method, sizeof(method));
    if (node && g_str_equal(method, "instantiate-rtas") && c->nargs >= 3) {
        put_way_in(c->args[2], H_CALL_RTAS);
        set_cell(node, "linux,rtas-base", c->args[2]);
        set_cell(node, "linux,rtas-entry", c->args[2]);
        c->rets[1] = c->args[2];
        return 0;
    }
    if (node && g_str_equal(method, "ibm,client-architecture-support") && c->nargs >= 3) {
        c->rets[1] = pseries_negotiate(client.m, c->args[2]) != H_SUCCESS;
        adopt_tree(pseries_tree(client.m, true, &size));
        return 0;
    }
    guest_error("client", "no method '%s'", method);
    return NOTHING;
}

static uint32_t serve_tree(Call *c, const char *s, bool *known)
{
    char text[PATH_MAX_SIZE];
    ClientNode *node;

    if (g_str_equal(s, "peer")) {
        node = by_handle(c->args[0]);
        return handle_or_none(c->args[0] ? (node ? node->peer : NULL) : client.root);
    }
    if (g_str_equal(s, "child")) {
        node = by_handle(c->args[0]);
        return handle_or_none(node ? node->child : NULL);
    }
    if (g_str_equal(s, "parent")) {
        node = by_handle(c->args[0]);
        return handle_or_none(node ? node->parent : NULL);
    }
    if (g_str_equal(s, "finddevice")) {
        get_text(c->args[0], text, sizeof(text));
        node = by_path(text);
        return node ? node->handle : NOTHING;
    }
    if (g_str_equal(s, "getprop")) {
        return get_prop(c, true);
    }
    if (g_str_equal(s, "getproplen")) {
        return get_prop(c, false);
    }
    if (g_str_equal(s, "nextprop")) {
        return next_prop(c);
    }
    if (g_str_equal(s, "setprop")) {
        return set_prop_service(c);
    }
    if (g_str_equal(s, "package-to-path")) {
        return path_service(by_handle(c->args[0]), c->args[1], c->args[2]);
    }
    if (g_str_equal(s, "instance-to-path")) {
        return path_service(by_instance(c->args[0]), c->args[1], c->args[2]);
    }
    if (g_str_equal(s, "instance-to-package")) {
        node = by_instance(c->args[0]);
        return node ? node->handle : NOTHING;
    }
    *known = false;
    return NOTHING;
}

static uint32_t serve(Call *c)
{
    const char *s = c->service;
    char text[PATH_MAX_SIZE];
    bool known = true;
    uint32_t result = serve_tree(c, s, &known);

    if (known) {
        return result;
    }
    if (g_str_equal(s, "open")) {
        get_text(c->args[0], text, sizeof(text));
        return open_path(text);
    }
    if (g_str_equal(s, "close")) {
        close_instance(c->args[0]);
        return 0;
    }
    if (g_str_equal(s, "write")) {
        return write_console(c);
    }
    if (g_str_equal(s, "read")) {
        return read_console(c);
    }
    if (g_str_equal(s, "claim")) {
        return claim(c->args[0], c->args[1], c->args[2]);
    }
    if (g_str_equal(s, "release")) {
        release(c->args[0], c->args[1]);
        return 0;
    }
    if (g_str_equal(s, "call-method")) {
        return call_method(c);
    }
    if (g_str_equal(s, "milliseconds")) {
        return ppc_timebase(cpu_current()) / (PSERIES_TIMEBASE / 1000);
    }
    if (g_str_equal(s, "quiesce")) {
        return 0;
    }
    if (g_str_equal(s, "exit") || g_str_equal(s, "enter")) {
        log_warn("the kernel returned to its firmware");
        machine_request_shutdown(SHUTDOWN_GUEST);
        return 0;
    }
    if (g_str_equal(s, "boot")) {
        machine_request_reset(SHUTDOWN_GUEST);
        return 0;
    }
    guest_error("client", "no service '%s'", s);
    return NOTHING;
}

/* The argument array: name, number of arguments, number of results, arguments, results. */
static int64_t h_client(void *opaque, uint64_t opcode, uint64_t *args)
{
    PhysAddr at = (uint32_t)args[0];
    uint8_t head[12], words[MAX_ARGS * 4];
    Call c = { 0 };

    memory_read(memory_system(), at, head, sizeof(head));
    c.nargs = load_be32(head + 4);
    c.nrets = load_be32(head + 8);
    if (c.nargs > MAX_ARGS || c.nrets > MAX_ARGS || !client.root) {
        return H_PARAMETER;
    }
    get_text(load_be32(head), c.service, sizeof(c.service));
    memory_read(memory_system(), at + 12, words, c.nargs * 4);
    for (unsigned i = 0; i < c.nargs; i++) {
        c.args[i] = load_be32(words + i * 4);
    }
    c.rets[0] = serve(&c);
    trace("client", "%s(%#x, %#x, %#x) = %#x", c.service, c.args[0], c.args[1], c.args[2], c.rets[0]);
    for (unsigned i = 0; i < c.nrets; i++) {
        store_be32(words + i * 4, c.rets[i]);
    }
    memory_write(memory_system(), at + 12 + c.nargs * 4, words, c.nrets * 4);
    return H_SUCCESS;
}

/* ---- the board's side ---- */

void pseries_client_init(Pseries *m)
{
    client.m = m;
    papr_hcall_add(H_CALL_CLIENT, h_client, m);
}

static void forget_everything(void)
{
    for (unsigned i = 0; i < MAX_INSTANCES; i++) {
        close_instance(FIRST_INSTANCE + i);
    }
    g_clear_pointer(&client.handles, g_hash_table_unref);
    g_clear_pointer(&client.claims, g_array_unref);
    client.handles = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    client.claims = g_array_new(FALSE, FALSE, sizeof(Claim));
    client.next_handle = FIRST_HANDLE;
}

/* The processor's node is the first below /cpus. */
static void open_firsts(void)
{
    ClientNode *cpus = by_path("/cpus"), *console = by_path("/vdevice/vty");
    g_autofree char *cpu = path_of(cpus->child), *vty = console ? path_of(console) : g_strdup("/");

    open_path(vty);
    open_path(cpu);
}

void pseries_client_reset(Pseries *m, uint8_t *tree)
{
    forget_everything();
    adopt_tree(tree);
    open_firsts();
    add_claim(0, OURS);
    add_claim(m->kernel_addr, m->kernel_size);
    if (m->initrd) {
        add_claim(m->initrd_addr, g_bytes_get_size(m->initrd));
    }
    put_way_in(ENTRY, H_CALL_CLIENT);
    pseries_cpu_start_at(m, m->kernel_entry, STACK, m->initrd ? m->initrd_addr : 0,
                         m->initrd ? g_bytes_get_size(m->initrd) : 0, ENTRY);
}
