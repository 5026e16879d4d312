/* How translated code describes a repeated string instruction to its helper. */
#ifndef TARGET_X86_STRING_H
#define TARGET_X86_STRING_H

#define STRING_HOW(op, type, addr_type, repne) ((op) | (type) << 4 | (addr_type) << 8 | (repne) << 12)
#define STRING_OP(how)        ((how) & 15)
#define STRING_TYPE(how)      ((how) >> 4 & 15)
#define STRING_ADDR_TYPE(how) ((how) >> 8 & 15)
#define STRING_REPNE(how)     ((how) >> 12 & 1)

#endif
