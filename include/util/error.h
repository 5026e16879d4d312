/* The one error domain of the project; see "When things go wrong" in the conventions. */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

#include <glib.h>

typedef enum VmError {
    VM_ERROR_HOST,      /* a file, a device or a library of the host said no */
    VM_ERROR_USER,      /* an option, a property or a command is wrong */
    VM_ERROR_IMAGE,     /* a disk image or a snapshot is damaged */
    VM_ERROR_NOT_FOUND, /* a command names a device that is not there */
    VM_ERROR_INACTIVE,  /* a command needs a device that this machine does not have */
} VmError;

#define VM_ERROR vm_error_quark()
GQuark vm_error_quark(void);

#endif
