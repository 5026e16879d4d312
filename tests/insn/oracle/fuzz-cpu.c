/*
 * The host processor as oracle for the x86 translator: instructions made from the decoder's tables, run
 * on the host and translated, from the same states.
 *
 *   fuzz-cpu [--mode 64|32|16|all] [--seed N] [--instances N] [--row TEXT] [--keep-going] [--quiet]
 *
 * Without --instances it never ends. What differs is made small and printed as a line for
 * tests/insn/oracle/x86.vec; at the end comes what was covered.
 */
#include <signal.h>
#include <stdlib.h>

#include "compare.h"
#include "host.h"
#include "values.h"

enum { STATES_PER_CASE = 64, TRIES = 64, MAX_TOLD = 3 };
/* #UD does not depend on the state, and what faults in so many states does so in most. */
enum { ENOUGH_UD = 2, ENOUGH_FAULTS = 6 };

static const char *const mode_names[] = {"64", "32", "16"};
static char *mode_option, *row_option;
static gint64 seed_option = 1, instances_option;
static gboolean keep_going, quiet;

static Row *rows;
static unsigned n_rows;
static Instance instance;
static Case now;
static uint64_t n_instances[ORACLE_MODES], n_cases[ORACLE_MODES], n_differences;

/* An assertion of ours: what was it about? */
static void on_abort(int number)
{
    g_printerr("mode %s:", mode_names[now.mode]);
    for (unsigned i = 0; i < now.size; i++) {
        g_printerr(" %02x", now.code[i]);
    }
    g_printerr("\n");
    signal(SIGABRT, SIG_DFL);
}

static void report(GuestEngine how)
{
    static GHashTable *told; /* by row: the first few are enough */
    g_autoptr(GString) out = g_string_new(NULL);
    unsigned times;

    n_differences++;
    if (!told) {
        told = g_hash_table_new(NULL, NULL);
    }
    times = GPOINTER_TO_UINT(g_hash_table_lookup(told, now.row));
    g_hash_table_insert(told, now.row, GUINT_TO_POINTER(times + 1));
    if (times >= MAX_TOLD) {
        return;
    }
    compare_report(&instance, how, out);
    g_print("%s", out->str);
    if (!keep_going) {
        exit(1);
    }
}

static void count(const Instance *i)
{
    Row *row = now.row;

    if (i->host.vector >= 0) {
        row->faults[now.mode]++;
    } else if (now.in.is_mem) {
        row->with_memory[now.mode]++;
    } else {
        row->with_register[now.mode]++;
    }
}

/* One encoding in many states. */
static void run_case(Random *r)
{
    unsigned refused = 0; /* of the first states, all in the same way */
    int first = ORACLE_NOWHERE;

    n_cases[now.mode]++;
    values_restock(r);
    host_place(now.mode, now.code, now.size);
    guest_place(now.mode, now.size);
    generate_memory(&now, instance.data, r);
    memcpy(oracle_data(), instance.data, sizeof(instance.data));
    instance.one = &now;
    for (unsigned i = 0; i < STATES_PER_CASE && refused < (first == EXC_UD ? ENOUGH_UD : ENOUGH_FAULTS); i++) {
        GuestEngine other = i & 8 ? GUEST_PLAIN : GUEST_INTERPRETED;

        generate_state(&now, &instance.before, i == 0, r);
        compare_run_host(&instance);
        if (instance.host.vector == ORACLE_ENDLESS) {
            continue;
        }
        if (i == refused && instance.host.vector >= 0 && (i == 0 || instance.host.vector == first)) {
            first = instance.host.vector;
            refused++;
        }
        n_instances[now.mode]++;
        count(&instance);
        if (!compare_run_guest(&instance, GUEST_COMPILED)) {
            report(GUEST_COMPILED);
            return;
        }
        if (i % 8 == 0 && !compare_run_guest(&instance, other)) {
            report(other);
            return;
        }
    }
}

static bool chosen(const Row *row)
{
    g_autofree char *name = row_option ? row_name(row) : NULL;

    return !row->excused && (!row_option || g_str_has_prefix(name, row_option));
}

/* Nothing of it has run yet without a fault, and it had its chances. */
static bool only_faults(const Row *row, OracleMode mode)
{
    return row->faults[mode] >= 12 && !row->with_register[mode] && !row->with_memory[mode];
}

static void run_round(OracleMode mode, GArray *which, uint64_t round, Random *r)
{
    values_stock(r);
    for (unsigned i = 0; i < which->len; i++) {
        Row *row = &rows[g_array_index(which, unsigned, i)];

        if (only_faults(row, mode) && round % 8) {
            continue;
        }
        for (unsigned try = 0; try < TRIES; try++) {
            if (generate_case(&now, row, mode, r)) {
                run_case(r);
                break;
            }
        }
    }
}

static void print_uncovered(OracleMode mode)
{
    unsigned covered = 0, possible = 0;
    uint64_t faults = 0;
    g_autoptr(GString) missing = g_string_new(NULL);

    for (unsigned i = 0; i < n_rows; i++) {
        const Row *row = &rows[i];

        if (row_exists(row, mode)) {
            bool ran = row->with_register[mode] || row->with_memory[mode];

            possible++;
            faults += row->faults[mode];
            covered += ran;
            if (!ran) {
                g_autofree char *name = row_name(row);

                g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", name);
            }
        }
    }
    g_print("mode %s: %" G_GUINT64_FORMAT " instances of %" G_GUINT64_FORMAT " encodings (%" G_GUINT64_FORMAT
            " faulted), %u of %u rows ran without a fault\n",
            mode_names[mode], n_instances[mode], n_cases[mode], faults, covered, possible);
    if (missing->len) {
        g_print("  always faulted or not reached: %s\n", missing->str);
    }
}

static void print_excused(void)
{
    g_autoptr(GHashTable) reasons = g_hash_table_new_full(NULL, NULL, NULL, NULL);
    GHashTableIter iter;
    gpointer why, names;

    for (unsigned i = 0; i < n_rows; i++) {
        if (rows[i].excused) {
            GString *list = g_hash_table_lookup(reasons, rows[i].excused);
            g_autofree char *name = row_name(&rows[i]);

            if (!list) {
                list = g_string_new(NULL);
                g_hash_table_insert(reasons, (gpointer)rows[i].excused, list);
            }
            g_string_append_printf(list, "%s%s", list->len ? ", " : "", name);
        }
    }
    g_hash_table_iter_init(&iter, reasons);
    while (g_hash_table_iter_next(&iter, &why, &names)) {
        g_print("not run, %s: %s\n", (char *)why, ((GString *)names)->str);
    }
}

static bool wants_mode(OracleMode mode)
{
    return (!mode_option || !strcmp(mode_option, "all") || !strcmp(mode_option, mode_names[mode])) && host_has_mode(mode);
}

static bool enough(OracleMode mode)
{
    return instances_option && n_instances[mode] >= (uint64_t)instances_option;
}

static void run_all(void)
{
    g_autoptr(GArray) which = g_array_new(FALSE, FALSE, sizeof(unsigned));
    gint64 start = g_get_monotonic_time(), last = start;
    Random r;
    bool more = true;

    for (unsigned i = 0; i < n_rows; i++) {
        if (chosen(&rows[i])) {
            g_array_append_val(which, i);
        }
    }
    if (!which->len) {
        g_printerr("no row begins with '%s': rows are named by prefix and opcode bytes, as in the coverage that is printed at the end\n", row_option);
        exit(2);
    }
    for (uint64_t round = 0; more; round++) {
        more = false;
        if (round == 1) {
            guest_add_processor(); /* what is locked was not before */
        }
        for (unsigned mode = 0; mode < ORACLE_MODES; mode++) {
            if (!wants_mode(mode) || enough(mode)) {
                continue;
            }
            r.state = (seed_option + 1) * 0x9e3779b97f4a7c15 + round * 0xd1342543de82ef95 + mode;
            run_round(mode, which, round, &r);
            more |= !enough(mode);
        }
        if (!quiet && g_get_monotonic_time() - last > 10000000) {
            uint64_t sum = n_instances[0] + n_instances[1] + n_instances[2];

            last = g_get_monotonic_time();
            g_printerr("%" G_GUINT64_FORMAT " instances, %.0f a second, %" G_GUINT64_FORMAT " differences\n", sum,
                       sum / ((last - start) / 1e6), n_differences);
        }
    }
    if (!quiet) {
        uint64_t sum = n_instances[0] + n_instances[1] + n_instances[2];

        g_print("%.0f instances a second\n", sum / ((g_get_monotonic_time() - start) / 1e6));
    }
}

int main(int argc, char **argv)
{
    static const GOptionEntry options[] = {
        {"mode", 0, 0, G_OPTION_ARG_STRING, &mode_option, "64, 32, 16 or all", "MODE"},
        {"seed", 0, 0, G_OPTION_ARG_INT64, &seed_option, "of all that is random (1)", "N"},
        {"instances", 0, 0, G_OPTION_ARG_INT64, &instances_option, "per mode (0: without end)", "N"},
        {"row", 0, 0, G_OPTION_ARG_STRING, &row_option, "rows whose name begins so, such as '0f c6'", "TEXT"},
        {"keep-going", 0, 0, G_OPTION_ARG_NONE, &keep_going, "after a difference", NULL},
        {"quiet", 0, 0, G_OPTION_ARG_NONE, &quiet, "no progress and speed", NULL},
        {0},
    };
    g_autoptr(GOptionContext) context = g_option_context_new("- the host processor as oracle");
    g_autoptr(GError) error = NULL;
    const char *why;

    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("%s\n", error->message);
        return 2;
    }
    guest_init();
    why = host_init();
    if (why) {
        g_print("SKIP: %s\n", why);
        return 77;
    }
    signal(SIGABRT, on_abort);
    rows = rows_list(&n_rows);
    g_print("seed %" G_GINT64_FORMAT "\n", seed_option);
    run_all();
    for (unsigned mode = 0; mode < ORACLE_MODES; mode++) {
        if (wants_mode(mode)) {
            print_uncovered(mode);
        }
    }
    print_excused();
    g_print("%" G_GUINT64_FORMAT " differences\n", n_differences);
    return n_differences ? 1 : 0;
}
