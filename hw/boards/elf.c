/* ELF files as boards load them. */
#include "hw/boards/elf.h"

#include "util/bits.h"

#include <elf.h>
#include <string.h>

/* Of a header inside the file. */
static uint64_t field(const ElfFile *e, uint64_t offset, unsigned size)
{
    const uint8_t *p = e->data + offset;

    switch (size) {
    case 2:
        return e->little ? load_le16(p) : load_be16(p);
    case 4:
        return e->little ? load_le32(p) : load_be32(p);
    default:
        return e->little ? load_le64(p) : load_be64(p);
    }
}

#define FIELD_OF(e, at, type, member)                                                                   \
    ((e)->is64 ? field((e), (at) + offsetof(Elf64_##type, member), sizeof(((Elf64_##type *)0)->member)) \
               : field((e), (at) + offsetof(Elf32_##type, member), sizeof(((Elf32_##type *)0)->member)))

bool elf_open(ElfFile *e, const void *data, size_t size)
{
    *e = (ElfFile){ .data = data, .size = size };
    if (size < sizeof(Elf32_Ehdr) || memcmp(data, ELFMAG, SELFMAG) != 0) {
        return false;
    }
    e->is64 = e->data[EI_CLASS] == ELFCLASS64;
    e->little = e->data[EI_DATA] == ELFDATA2LSB;
    if (e->is64 && size < sizeof(Elf64_Ehdr)) {
        return false;
    }
    e->machine = FIELD_OF(e, 0, Ehdr, e_machine);
    e->entry = FIELD_OF(e, 0, Ehdr, e_entry);
    return true;
}

GArray *elf_segments(const ElfFile *e)
{
    g_autoptr(GArray) segments = g_array_new(FALSE, FALSE, sizeof(ElfSegment));
    uint64_t table = FIELD_OF(e, 0, Ehdr, e_phoff), step = FIELD_OF(e, 0, Ehdr, e_phentsize), count = FIELD_OF(e, 0, Ehdr, e_phnum);

    if (step < (e->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)) || table > e->size || count * step > e->size - table) {
        return NULL;
    }
    for (uint64_t at = table; count; count--, at += step) {
        ElfSegment s = {
            .offset = FIELD_OF(e, at, Phdr, p_offset), .file_size = FIELD_OF(e, at, Phdr, p_filesz),
            .size = FIELD_OF(e, at, Phdr, p_memsz), .virt = FIELD_OF(e, at, Phdr, p_vaddr), .phys = FIELD_OF(e, at, Phdr, p_paddr),
        };

        if (FIELD_OF(e, at, Phdr, p_type) != PT_LOAD || !s.size) {
            continue;
        }
        if (s.offset > e->size || s.file_size > e->size - s.offset || s.file_size > s.size) {
            return NULL;
        }
        g_array_append_val(segments, s);
    }
    return g_steal_pointer(&segments);
}
