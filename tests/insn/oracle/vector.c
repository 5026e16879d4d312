/* Test vectors: one line of text per case. */
#include "vector.h"

static const char *const mode_names[] = {"64", "32", "16"};

void vector_plain_state(OracleState *s)
{
    memset(s, 0, sizeof(*s));
    s->flags = 0x202;
    x86_fx_init_x87(&s->fp.fx);
    s->fp.fx.mxcsr = MXCSR_INIT;
    s->fp.fx.mxcsr_mask = x86_mxcsr_mask();
    s->vector = ORACLE_NOWHERE;
    s->pc = ORACLE_START;
}

/* Everything that has a name, in both directions. */
typedef void Visit(void *opaque, const char *name, void *value, unsigned size);

static void visit_state(OracleState *s, uint8_t *data, Visit *visit, void *opaque)
{
    char name[16];

#define ONE(text, field) visit(opaque, text, &s->field, sizeof(s->field))
    for (unsigned n = 0; n < 16; n++) {
        g_snprintf(name, sizeof(name), "r%u", n);
        visit(opaque, name, &s->gpr[n], 8);
    }
    ONE("flags", flags);
    ONE("vector", vector);
    ONE("error", error);
    ONE("cr2", cr2);
    ONE("pc", pc);
    ONE("fcw", fp.fx.fcw);
    ONE("fsw", fp.fx.fsw);
    ONE("tags", fp.fx.tags);
    ONE("mxcsr", fp.fx.mxcsr);
#undef ONE
    for (unsigned n = 0; n < 16; n++) {
        if (n < 8) {
            g_snprintf(name, sizeof(name), "st%u", n);
            visit(opaque, name, s->fp.fx.st[n], 10);
        }
        g_snprintf(name, sizeof(name), "xmm%u", n);
        visit(opaque, name, s->fp.fx.xmm[n], 16);
        g_snprintf(name, sizeof(name), "ymm%u", n);
        visit(opaque, name, s->fp.ymm_high[n], 16);
    }
    for (unsigned at = 0; at < ORACLE_DATA_SIZE; at += 8) {
        g_snprintf(name, sizeof(name), "m%x", at);
        visit(opaque, name, data + at, 8);
    }
}

/* Printing: what differs from another state, whose fields come in the same order. */
typedef struct Printer {
    GString *out;
    GPtrArray *others; /* of the other state, collected first */
    unsigned n;
    bool fp;
} Printer;

static void collect(void *opaque, const char *name, void *value, unsigned size)
{
    g_ptr_array_add(opaque, value);
}

static void print_field(void *opaque, const char *name, void *value, unsigned size)
{
    Printer *p = opaque;
    const uint8_t *bytes = value;
    unsigned last = size - 1;

    if (!memcmp(bytes, p->others->pdata[p->n++], size)) {
        return;
    }
    g_string_append_printf(p->out, " %s=", name);
    while (last && !bytes[last]) {
        last--;
    }
    g_string_append_printf(p->out, "%x", bytes[last]);
    while (last-- > 0) {
        g_string_append_printf(p->out, "%02x", bytes[last]);
    }
}

static void print_differences(GString *out, OracleState *s, uint8_t *data, OracleState *other, uint8_t *other_data)
{
    g_autoptr(GPtrArray) others = g_ptr_array_new();
    Printer p = {.out = out, .others = others};

    visit_state(other, other_data, collect, others);
    visit_state(s, data, print_field, &p);
}

void vector_print(const Instance *i, uint32_t flags_mask, GString *out)
{
    static uint8_t zeroes[ORACLE_DATA_SIZE];
    OracleState plain, before = i->before, after = i->host;
    g_autofree uint8_t *data = g_memdup2(i->data, sizeof(i->data)), *host_data = g_memdup2(i->host_data, sizeof(i->host_data));

    vector_plain_state(&plain);
    before.pc = ORACLE_START;
    before.vector = ORACLE_NOWHERE;
    before.error = 0;
    before.cr2 = 0;
    if (!i->one->with_fp) {
        before.fp = after.fp = plain.fp;
    }
    after.fp.fx.mxcsr_mask = before.fp.fx.mxcsr_mask;
    g_string_append_printf(out, "%s ", mode_names[i->one->mode]);
    for (unsigned n = 0; n < i->one->size; n++) {
        g_string_append_printf(out, "%02x", i->one->code[n]);
    }
    g_string_append(out, " |");
    print_differences(out, &before, data, &plain, zeroes);
    g_string_append_printf(out, " | mask=%x", flags_mask);
    after.flags = (after.flags & flags_mask) | (before.flags & ~(uint64_t)flags_mask);
    print_differences(out, &after, host_data, &before, data);
    g_string_append_c(out, '\n');
}

/* Parsing. */

typedef struct Setter {
    const char *name;
    const char *value;
    bool found;
} Setter;

static void set_field(void *opaque, const char *name, void *value, unsigned size)
{
    Setter *set = opaque;
    unsigned digits = strlen(set->value);
    uint8_t *to = value;

    if (strcmp(name, set->name) != 0) {
        return;
    }
    memset(to, 0, size);
    for (unsigned i = 0; i < digits && i / 2 < size; i++) {
        to[i / 2] |= g_ascii_xdigit_value(set->value[digits - 1 - i]) << (i & 1) * 4;
    }
    set->found = true;
}

static bool set_fields(char *text, OracleState *s, uint8_t *data, uint32_t *mask)
{
    g_auto(GStrv) words = g_strsplit_set(g_strstrip(text), " ", -1);

    for (char **word = words; *word; word++) {
        char *equals = strchr(*word, '=');
        Setter set = {.name = *word};

        if (!**word) {
            continue;
        }
        if (!equals) {
            return false;
        }
        *equals = 0;
        set.value = equals + 1;
        if (!strcmp(*word, "mask")) {
            *mask = strtoul(set.value, NULL, 16);
            continue;
        }
        visit_state(s, data, set_field, &set);
        if (!set.found) {
            return false;
        }
    }
    return true;
}

bool vector_parse(const char *line, Case *one, Instance *i, uint32_t *flags_mask)
{
    g_auto(GStrv) parts = g_strsplit(line, "|", 3);
    g_auto(GStrv) head = NULL;

    if (g_strv_length(parts) != 3) {
        return false;
    }
    head = g_strsplit(g_strstrip(parts[0]), " ", 2);
    *one = (Case){.mode = ORACLE_MODES, .with_fp = true};
    for (unsigned m = 0; m < ORACLE_MODES; m++) {
        if (g_strv_length(head) == 2 && !strcmp(head[0], mode_names[m])) {
            one->mode = m;
        }
    }
    if (one->mode == ORACLE_MODES) {
        return false;
    }
    for (const char *hex = g_strstrip(head[1]); hex[0] && hex[1] && one->size < sizeof(one->code); hex += 2) {
        one->code[one->size++] = g_ascii_xdigit_value(hex[0]) << 4 | g_ascii_xdigit_value(hex[1]);
    }
    *flags_mask = FLAGS_ALL;
    i->one = one;
    vector_plain_state(&i->before);
    memset(i->data, 0, sizeof(i->data));
    if (!set_fields(parts[1], &i->before, i->data, flags_mask)) {
        return false;
    }
    i->host = i->before;
    memcpy(i->host_data, i->data, sizeof(i->data));
    return set_fields(parts[2], &i->host, i->host_data, flags_mask);
}
