/* Between the parts of the VMDK driver: the descriptor, sparse extents, and the image that joins them. */
#ifndef BACKENDS_BLOCK_VMDK_H
#define BACKENDS_BLOCK_VMDK_H

#include "backends/block/blockmap.h"

enum {
    VMDK_SECTOR = 512,
    VMDK_GRAIN = 64 << 10,        /* of images that we make */
    VMDK_GT_ENTRIES = 512,        /* likewise */
    VMDK_DESCRIPTOR_SECTOR = 1,   /* where the descriptor lies in a sparse file that we make */
    VMDK_DESCRIPTOR_SECTORS = 20,
    VMDK_DESCRIPTOR_MAX = 1 << 20,
    VMDK_NO_CID = -1,
};

/* ---- vmdk-descriptor.c ---- */

typedef enum VmdkExtentType { VMDK_FLAT, VMDK_SPARSE, VMDK_ZERO } VmdkExtentType;

typedef struct VmdkExtentLine {
    uint64_t sectors, offset; /* offset in sectors, of flat extents */
    VmdkExtentType type;
    char *type_name, *file;
    bool readonly;
} VmdkExtentLine;

typedef struct VmdkDescriptor {
    uint32_t cid, parent_cid;
    char *create_type, *parent;
    GArray *extents; /* of VmdkExtentLine */
    int64_t cid_at;  /* where its digits are in the text; -1: nowhere */
    unsigned cid_digits; /* 1 to 8 */
} VmdkDescriptor;

bool vmdk_descriptor_parse(VmdkDescriptor *d, const char *text, const char *name, GError **error);
void vmdk_descriptor_clear(VmdkDescriptor *d);

typedef struct VmdkNew {
    const char *create_type, *adapter, *hardware, *tools, *parent;
    uint32_t parent_cid;
    uint64_t sectors;
    GString *extents; /* lines */
} VmdkNew;

/* Caller frees. */
char *vmdk_descriptor_write(const VmdkNew *what);

/* ---- vmdk-sparse.c ---- */

typedef struct VmdkSparse {
    BlockMap map;
    uint32_t *directory, *spare_directory; /* sectors of grain tables; spare: NULL if there is none */
    uint64_t directory_offset, spare_offset; /* bytes */
    uint32_t tables, table_entries;
    bool has_zero_grains, compressed;
    uint64_t end;     /* bytes; where the next grain goes */
    uint64_t descriptor_offset, descriptor_size; /* bytes, 0: none */
    GMutex cache_lock;
    struct VmdkTable *cache; /* direct-mapped */
} VmdkSparse;

int vmdk_sparse_probe(const uint8_t *head, size_t size);
/* file stays the caller's. NULL: not a sparse extent, or damaged. */
VmdkSparse *vmdk_sparse_open(BlockImage *image, BlockImage *file, const char *name, GError **error);
void vmdk_sparse_close(VmdkSparse *sparse);
int vmdk_sparse_write_compressed(VmdkSparse *sparse, uint64_t offset, const void *buf, size_t size);
int vmdk_sparse_check(VmdkSparse *sparse, BlockCheck *result);
/* An empty extent, with room for a descriptor if with_descriptor. */
bool vmdk_sparse_create(BlockImage *file, const char *name, uint64_t sectors, bool with_descriptor, bool compressed,
                        bool zero_grains, GError **error);

#endif
