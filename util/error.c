/* The error domain's identity. */
#include "util/error.h"

G_DEFINE_QUARK(vm-error-quark, vm_error)
