/* Expressions of monitor commands: C operators on 64-bit numbers, with $registers. */
#include "monitor/internal.h"

#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct Parser {
    const char *at;
    Cpu *cpu;
    GError **error;
    int depth;
} Parser;

#define MAX_DEPTH 100

static bool parse_binary(Parser *p, int level, uint64_t *value);

static bool fail(Parser *p, const char *why)
{
    g_set_error(p->error, VM_ERROR, VM_ERROR_USER, "expression: %s at '%s'", why, p->at);
    return false;
}

static void skip_space(Parser *p)
{
    while (g_ascii_isspace(*p->at)) {
        p->at++;
    }
}

static bool parse_register(Parser *p, uint64_t *value)
{
    size_t n = 0;
    g_autofree char *name = NULL;

    p->at++;
    while (g_ascii_isalnum(p->at[n]) || p->at[n] == '_' || p->at[n] == '.') {
        n++;
    }
    name = g_strndup(p->at, n);
    if (!p->cpu || !register_by_name(p->cpu, name, value)) {
        return fail(p, "no such register");
    }
    p->at += n;
    return true;
}

static bool parse_character(Parser *p, uint64_t *value)
{
    if (!p->at[1] || p->at[2] != '\'') {
        return fail(p, "one character in ' ' expected");
    }
    *value = (uint8_t)p->at[1];
    p->at += 3;
    return true;
}

static bool parse_number(Parser *p, uint64_t *value)
{
    char *end;

    if (!g_ascii_isdigit(*p->at)) {
        return fail(p, *p->at ? "number expected" : "something is missing");
    }
    errno = 0;
    *value = g_ascii_strtoull(p->at, &end, 0);
    if (errno) {
        return fail(p, "number too large");
    }
    if (g_ascii_isalnum(*end)) {
        return fail(p, "bad digit in a number");
    }
    p->at = end;
    return true;
}

static bool parse_unary(Parser *p, uint64_t *value)
{
    bool good;

    skip_space(p);
    if (++p->depth > MAX_DEPTH) {
        return fail(p, "too deep");
    }
    switch (*p->at) {
    case '+':
    case '-':
    case '~': {
        char op = *p->at++;

        good = parse_unary(p, value);
        *value = op == '-' ? -*value : op == '~' ? ~*value : *value;
        break;
    }
    case '(':
        p->at++;
        good = parse_binary(p, 0, value);
        skip_space(p);
        if (good && *p->at != ')') {
            return fail(p, "')' expected");
        }
        p->at += good;
        break;
    case '$':
        good = parse_register(p, value);
        break;
    case '\'':
        good = parse_character(p, value);
        break;
    default:
        good = parse_number(p, value);
        break;
    }
    p->depth--;
    return good;
}

/* Operators by how loosely they bind. */
static const char *const levels[][4] = {
    { "|" }, { "^" }, { "&" }, { "<<", ">>" }, { "+", "-" }, { "*", "/", "%" },
};

static bool apply(Parser *p, char op, uint64_t *a, uint64_t b)
{
    switch (op) {
    case '|': *a |= b; break;
    case '^': *a ^= b; break;
    case '&': *a &= b; break;
    case '<': *a = b < 64 ? *a << b : 0; break;
    case '>': *a = b < 64 ? *a >> b : 0; break;
    case '+': *a += b; break;
    case '-': *a -= b; break;
    case '*': *a *= b; break;
    default:
        if (!b) {
            return fail(p, "division by zero");
        }
        *a = op == '/' ? *a / b : *a % b;
    }
    return true;
}

static bool parse_binary(Parser *p, int level, uint64_t *value)
{
    if (level == G_N_ELEMENTS(levels)) {
        return parse_unary(p, value);
    }
    if (!parse_binary(p, level + 1, value)) {
        return false;
    }
    for (;;) {
        const char *op = NULL;
        uint64_t right = 0;

        skip_space(p);
        for (int i = 0; !op && levels[level][i]; i++) {
            if (g_str_has_prefix(p->at, levels[level][i])) {
                op = levels[level][i];
            }
        }
        if (!op) {
            return true;
        }
        p->at += strlen(op);
        if (!parse_binary(p, level + 1, &right) || !apply(p, *op, value, right)) {
            return false;
        }
    }
}

bool expr_eval(const char *text, Cpu *cpu, uint64_t *value, GError **error)
{
    Parser p = { .at = text, .cpu = cpu, .error = error };

    *value = 0;
    if (!parse_binary(&p, 0, value)) {
        return false;
    }
    skip_space(&p);
    return !*p.at || fail(&p, "unexpected text");
}
