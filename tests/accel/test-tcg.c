/* The translating engine, with a toy guest (toy.h): each case in the translator and in the interpreter. */
#include "tests/accel/toy.h"

static void run_case(gconstpointer data)
{
    ((const Case *)data)->fn();
}

static void use_interpreter(void)
{
    g_mutex_lock(&tb_lock);
    blocks_kill_all();
    g_mutex_unlock(&tb_lock);
    engine_options.interpret = true;
}

static void use_translator(void)
{
    engine_options.interpret = false;
}

static bool has_back_end(void)
{
    uint64_t used, size;

    tcg_code_usage(&used, &size);
    return size > 0;
}

static void add_cases(const char *tier)
{
    const Case *const files[] = { code_cases, space_cases, debug_cases };

    for (unsigned i = 0; i < G_N_ELEMENTS(files); i++) {
        for (const Case *c = files[i]; c->name; c++) {
            g_autofree char *path = g_strdup_printf("/%s/%s", tier, c->name);

            g_test_add_data_func(path, c, run_case);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    set_up();
    if (has_back_end()) {
        g_test_add_func("/translator/start", use_translator);
        add_cases("translator");
    }
    g_test_add_func("/interpreter/start", use_interpreter);
    add_cases("interpreter");
    return g_test_run();
}
