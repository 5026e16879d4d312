/* ELF files (System V ABI, chapters 4 and 5) of either width and byte order, as boards load them. */
#ifndef HW_BOARDS_ELF_H
#define HW_BOARDS_ELF_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ElfFile {
    const uint8_t *data; /* borrowed */
    size_t size;
    bool is64, little;
    uint16_t machine; /* EM_PPC ... */
    uint64_t entry;
} ElfFile;

/* What is to be in memory: file_size bytes of the file, zeros up to `size`, which is more than 0. */
typedef struct ElfSegment {
    uint64_t offset, file_size, size, virt, phys;
} ElfSegment;

bool elf_open(ElfFile *e, const void *data, size_t size); /* false: it is none */
/* Of ElfSegment, all of them inside the file; NULL: it is damaged. The caller frees it. */
GArray *elf_segments(const ElfFile *e);

#endif
