/* VMware disk images: a descriptor and the extents that it names, joined to one disk. */
#include "backends/block/vmdk.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SPLIT_SECTORS (UINT64_C(2) << 30 >> 9)

typedef struct Extent {
    VmdkExtentType type;
    uint64_t start, size; /* bytes of the disk */
    uint64_t offset;      /* of a flat extent in its file */
    BlockImage *file;     /* NULL for zeros; not owned if it is the image's */
    VmdkSparse *sparse;
    char *type_name, *file_name;
} Extent;

typedef struct VmdkImage {
    BlockImage image;
    GArray *extents; /* of Extent */
    uint64_t size;
    char *create_type;
    uint32_t cid, parent_cid;
    int64_t cid_at; /* byte of the file, -1: unknown */
    unsigned cid_digits;
    GMutex lock;
    gint written; /* since it was opened: the identity has changed */
} VmdkImage;

/* Text that starts as a descriptor does, behind comments and empty lines. */
static bool is_descriptor(const uint8_t *head, size_t size)
{
    static const char mark[] = "# Disk DescriptorFile";

    return size >= sizeof(mark) - 1 && !g_ascii_strncasecmp((const char *)head, mark, sizeof(mark) - 1);
}

static int vmdk_probe(const uint8_t *head, size_t size, const char *name)
{
    return is_descriptor(head, size) ? 100 : vmdk_sparse_probe(head, size);
}

/* ---- opening ---- */

static VmdkImage *vmdk_of(BlockImage *image)
{
    return (VmdkImage *)image;
}

static void vmdk_close(BlockImage *image)
{
    VmdkImage *vmdk = vmdk_of(image);

    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        Extent *e = &g_array_index(vmdk->extents, Extent, i);

        if (e->sparse) {
            vmdk_sparse_close(e->sparse);
        }
        if (e->file != image->file) {
            block_image_close(e->file);
        }
        g_free(e->type_name);
        g_free(e->file_name);
    }
    g_array_free(vmdk->extents, TRUE);
    g_free(vmdk->create_type);
    g_mutex_clear(&vmdk->lock);
    g_free(vmdk);
}

static bool add_extent(VmdkImage *vmdk, Extent *e)
{
    if (e->size > INT64_MAX - vmdk->size) {
        return false;
    }
    e->start = vmdk->size;
    vmdk->size += e->size;
    if (e->sparse) {
        e->sparse->map.base = e->start;
        vmdk->image.cluster_size = e->sparse->map.block_size;
    }
    g_array_append_val(vmdk->extents, *e);
    return true;
}

static bool open_extent_data(VmdkImage *vmdk, const VmdkExtentLine *line, Extent *e, GError **error)
{
    uint64_t file_size = block_image_size(e->file);

    if (line->type == VMDK_SPARSE) {
        e->sparse = vmdk_sparse_open(&vmdk->image, e->file, line->file, error);
        if (!e->sparse) {
            return false;
        }
        if (e->sparse->map.size > e->size) {
            e->sparse->map.size = e->size;
        }
        e->size = e->sparse->map.size;
        return true;
    }
    e->offset = line->offset * VMDK_SECTOR;
    if (e->offset > file_size || e->size > file_size - e->offset) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "extent '%s' is shorter than its descriptor says", line->file);
        return false;
    }
    vmdk->image.zero_init = vmdk->image.zero_init && e->file->zero_init;
    return true;
}

static bool open_extent(VmdkImage *vmdk, const BlockOpen *how, const VmdkExtentLine *line, GError **error)
{
    unsigned flags = (how->flags | BLOCK_OPEN_DISCARD) & ~(BLOCK_OPEN_NO_BACKING | BLOCK_OPEN_CHECK);
    g_autofree char *path = line->file ? block_name_relative_to(how->file->name, line->file) : NULL;
    Extent e = { .type = line->type, .size = line->sectors * VMDK_SECTOR };

    if (line->type != VMDK_ZERO) {
        e.file = block_image_open(path, "file", NULL, flags | (line->readonly ? BLOCK_OPEN_READONLY : 0), error);
        if (!e.file) {
            g_prefix_error(error, "'%s': extent: ", how->name);
            return false;
        }
    }
    e.type_name = g_strdup(line->type_name);
    e.file_name = g_strdup(path);
    if ((e.file && !open_extent_data(vmdk, line, &e, error)) || !add_extent(vmdk, &e)) {
        if (error && !*error) {
            g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': the disk is too large", how->name);
        }
        if (e.sparse) {
            vmdk_sparse_close(e.sparse);
        }
        block_image_close(e.file);
        g_free(e.type_name);
        g_free(e.file_name);
        return false;
    }
    return true;
}

/* What the descriptor says of the image as a whole; takes its texts. */
static void take_identity(VmdkImage *vmdk, VmdkDescriptor *d, uint64_t at)
{
    vmdk->create_type = g_steal_pointer(&d->create_type);
    vmdk->cid = d->cid;
    vmdk->parent_cid = d->parent_cid;
    vmdk->cid_at = d->cid_at < 0 ? -1 : (int64_t)at + d->cid_at;
    vmdk->cid_digits = d->cid_digits;
    if (d->parent_cid != (uint32_t)VMDK_NO_CID && d->parent) {
        vmdk->image.backing_name = g_steal_pointer(&d->parent);
        vmdk->image.backing_format = g_strdup("vmdk");
    }
}

static char *read_text(BlockImage *file, uint64_t offset, uint64_t size)
{
    char *text = g_malloc0(size + 1);

    if (block_image_read(file, offset, text, size)) {
        text[0] = 0;
    }
    return text;
}

static bool open_descriptor_file(VmdkImage *vmdk, const BlockOpen *how, GError **error)
{
    g_autofree char *text = read_text(how->file, 0, MIN(block_image_size(how->file), VMDK_DESCRIPTOR_MAX));
    VmdkDescriptor d;
    bool ok = vmdk_descriptor_parse(&d, text, how->name, error);

    if (!ok) {
        return false;
    }
    if (!d.extents->len) {
        g_set_error(error, VM_ERROR, VM_ERROR_IMAGE, "'%s': the VMDK descriptor names no extents", how->name);
        ok = false;
    }
    for (unsigned i = 0; i < d.extents->len && ok; i++) {
        ok = open_extent(vmdk, how, &g_array_index(d.extents, VmdkExtentLine, i), error);
    }
    take_identity(vmdk, &d, 0);
    vmdk_descriptor_clear(&d);
    return ok;
}

/* One sparse file with the descriptor in it. */
static bool open_single(VmdkImage *vmdk, const BlockOpen *how, GError **error)
{
    Extent e = { .type = VMDK_SPARSE, .file = how->file };
    g_autofree char *text = NULL;
    VmdkDescriptor d;

    e.sparse = vmdk_sparse_open(&vmdk->image, how->file, how->name, error);
    if (!e.sparse) {
        return false;
    }
    e.size = e.sparse->map.size;
    e.type_name = g_strdup("");
    e.file_name = g_strdup(how->name);
    add_extent(vmdk, &e);
    if (!e.sparse->descriptor_size) {
        vmdk->create_type = g_strdup("monolithicSparse");
        vmdk->parent_cid = (uint32_t)VMDK_NO_CID;
        return true;
    }
    text = read_text(how->file, e.sparse->descriptor_offset, e.sparse->descriptor_size);
    if (!vmdk_descriptor_parse(&d, text, how->name, error)) {
        return false;
    }
    take_identity(vmdk, &d, e.sparse->descriptor_offset);
    vmdk_descriptor_clear(&d);
    return true;
}

static bool all_compressed(const VmdkImage *vmdk)
{
    return vmdk->extents->len == 1 && g_array_index(vmdk->extents, Extent, 0).sparse &&
           g_array_index(vmdk->extents, Extent, 0).sparse->compressed;
}

static BlockImage *vmdk_open(BlockOpen *how, GError **error)
{
    uint8_t head[VMDK_SECTOR];
    VmdkImage *vmdk;
    int failed = block_image_read(how->file, 0, head, sizeof(head));

    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot read '%s': %s", how->name, g_strerror(failed));
        return NULL;
    }
    vmdk = g_new0(VmdkImage, 1);
    g_mutex_init(&vmdk->lock);
    vmdk->extents = g_array_new(FALSE, FALSE, sizeof(Extent));
    vmdk->cid_at = -1;
    vmdk->image.driver = &block_vmdk;
    vmdk->image.file = how->file;
    vmdk->image.align = VMDK_SECTOR;
    vmdk->image.zero_init = true;
    if (!(is_descriptor(head, sizeof(head)) ? open_descriptor_file(vmdk, how, error) : open_single(vmdk, how, error))) {
        g_free(vmdk->image.backing_name);
        g_free(vmdk->image.backing_format);
        vmdk_close(&vmdk->image);
        return NULL;
    }
    vmdk->image.compressed_only = all_compressed(vmdk);
    return &vmdk->image;
}

static uint64_t vmdk_size(BlockImage *image)
{
    return vmdk_of(image)->size;
}

/* ---- extents ---- */

static Extent *extent_at(VmdkImage *vmdk, uint64_t offset)
{
    unsigned low = 0, high = vmdk->extents->len - 1;

    while (low < high) {
        unsigned middle = (low + high + 1) / 2;

        if (g_array_index(vmdk->extents, Extent, middle).start <= offset) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return &g_array_index(vmdk->extents, Extent, low);
}

/* How much of a request lies in the extent. */
static uint64_t inside(const Extent *e, uint64_t offset, uint64_t size)
{
    return MIN(size, e->start + e->size - offset);
}

static int read_extent(Extent *e, uint64_t offset, const struct iovec *iov, int count)
{
    uint64_t at = offset - e->start;

    if (e->sparse) {
        return block_map_read(&e->sparse->map, at, iov, count);
    }
    if (e->file) {
        return block_image_readv(e->file, e->offset + at, iov, count);
    }
    block_iov_fill(iov, count, 0);
    return 0;
}

static int write_extent(Extent *e, uint64_t offset, const struct iovec *iov, int count)
{
    uint64_t at = offset - e->start;

    if (e->sparse) {
        return block_map_write(&e->sparse->map, at, iov, count);
    }
    return e->file ? block_image_writev(e->file, e->offset + at, iov, count) : EIO;
}

static int vmdk_read(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count);
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int error = 0;

    for (uint64_t done = 0, n; done < size && !error; done += n) {
        Extent *e = extent_at(vmdk_of(image), offset + done);

        n = inside(e, offset + done, size - done);
        error = read_extent(e, offset + done, part, block_iov_part(part, iov, count, done, n));
    }
    return error;
}

/* Another number of as many digits, and not the one that says `no image`. */
static uint32_t other_cid(uint32_t old, unsigned digits)
{
    uint32_t mask = digits < 8 ? (UINT32_C(1) << 4 * digits) - 1 : UINT32_MAX, cid;

    do {
        cid = g_random_int() & mask;
    } while (cid == old || cid == (uint32_t)VMDK_NO_CID);
    return cid;
}

/* The first write gives the image a new identity, so that overlays of it notice. */
static int first_write(VmdkImage *vmdk)
{
    BlockImage *parent = vmdk->image.backing;
    char digits[9];
    int error = 0;

    if (g_atomic_int_get(&vmdk->written)) {
        return 0;
    }
    g_mutex_lock(&vmdk->lock);
    if (!vmdk->written && parent && parent->driver == &block_vmdk && vmdk_of(parent)->cid != vmdk->parent_cid) {
        log_warn("'%s' was written to since '%s' was laid over it: no more writes, they would not fit together",
                 parent->name, vmdk->image.name);
        error = EINVAL;
    } else if (!vmdk->written) {
        if (vmdk->cid_at >= 0) {
            vmdk->cid = other_cid(vmdk->cid, vmdk->cid_digits);
            g_snprintf(digits, sizeof(digits), "%0*x", (int)vmdk->cid_digits, vmdk->cid);
            error = block_image_write(vmdk->image.file, vmdk->cid_at, digits, vmdk->cid_digits);
        }
        g_atomic_int_set(&vmdk->written, !error);
    }
    g_mutex_unlock(&vmdk->lock);
    return error;
}

static int vmdk_write(BlockImage *image, uint64_t offset, const struct iovec *iov, int count)
{
    size_t size = block_iov_size(iov, count);
    g_autofree struct iovec *part = g_new(struct iovec, count);
    int error = first_write(vmdk_of(image));

    for (uint64_t done = 0, n; done < size && !error; done += n) {
        Extent *e = extent_at(vmdk_of(image), offset + done);

        n = inside(e, offset + done, size - done);
        error = write_extent(e, offset + done, part, block_iov_part(part, iov, count, done, n));
    }
    return error;
}

static int vmdk_write_zeroes(BlockImage *image, uint64_t offset, uint64_t size, bool may_unmap)
{
    int error = first_write(vmdk_of(image));

    for (uint64_t done = 0, n; done < size && !error; done += n) {
        Extent *e = extent_at(vmdk_of(image), offset + done);
        uint64_t at = offset + done - e->start;

        n = inside(e, offset + done, size - done);
        error = e->sparse ? block_map_write_zeroes(&e->sparse->map, at, n, may_unmap)
                : e->file ? block_image_write_zeroes(e->file, e->offset + at, n, may_unmap)
                          : 0;
    }
    return error;
}

static int vmdk_discard(BlockImage *image, uint64_t offset, uint64_t size)
{
    int error = first_write(vmdk_of(image));

    for (uint64_t done = 0, n; done < size && !error; done += n) {
        Extent *e = extent_at(vmdk_of(image), offset + done);
        uint64_t at = offset + done - e->start;

        n = inside(e, offset + done, size - done);
        error = e->sparse ? block_map_discard(&e->sparse->map, at, n)
                : e->file ? block_image_discard(e->file, e->offset + at, n)
                          : 0;
    }
    return error;
}

static int vmdk_write_compressed(BlockImage *image, uint64_t offset, const void *buf, size_t size)
{
    Extent *e = extent_at(vmdk_of(image), offset);
    int error;

    if (!e->sparse || !e->sparse->compressed) {
        return ENOTSUP;
    }
    error = first_write(vmdk_of(image));
    return error ? error : vmdk_sparse_write_compressed(e->sparse, offset - e->start, buf, size);
}

static int vmdk_flush(BlockImage *image)
{
    VmdkImage *vmdk = vmdk_of(image);
    int error = block_image_flush(image->file);

    for (unsigned i = 0; i < vmdk->extents->len && !error; i++) {
        Extent *e = &g_array_index(vmdk->extents, Extent, i);

        if (e->file && e->file != image->file) {
            error = block_image_flush(e->file);
        }
    }
    return error;
}

static int vmdk_status(BlockImage *image, uint64_t offset, uint64_t size, BlockExtent *extent)
{
    Extent *e = extent_at(vmdk_of(image), offset);
    uint64_t at = offset - e->start;
    int error;

    size = inside(e, offset, size);
    if (e->sparse) {
        return block_map_status(&e->sparse->map, at, size, extent);
    }
    if (!e->file) {
        *extent = (BlockExtent){ size, BLOCK_ZERO | BLOCK_HERE };
        return 0;
    }
    error = block_image_status(e->file, e->offset + at, size, extent);
    extent->status |= BLOCK_HERE;
    return error;
}

static bool vmdk_resolve(BlockImage *image, uint64_t offset, uint64_t size, bool is_write, int *fd, uint64_t *host_offset)
{
    VmdkImage *vmdk = vmdk_of(image);
    Extent *e = extent_at(vmdk, offset);

    if (inside(e, offset, size) < size || (is_write && !g_atomic_int_get(&vmdk->written)) || !e->file) {
        return false;
    }
    return e->sparse ? block_map_resolve(&e->sparse->map, offset - e->start, size, is_write, fd, host_offset)
                     : block_image_resolve(e->file, e->offset + offset - e->start, size, is_write, fd, host_offset);
}

/* ---- information ---- */

static void vmdk_info(BlockImage *image, Json *specific)
{
    VmdkImage *vmdk = vmdk_of(image);
    Json *list = json_array();

    json_set(specific, "cid", json_uint(vmdk->cid));
    json_set(specific, "parent-cid", json_uint(vmdk->parent_cid));
    json_set_string(specific, "create-type", vmdk->create_type);
    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        const Extent *e = &g_array_index(vmdk->extents, Extent, i);
        Json *one = json_object();

        if (e->sparse && e->sparse->compressed) {
            json_set_bool(one, "compressed", true);
        }
        json_set(one, "virtual-size", json_uint(e->size));
        json_set_string(one, "filename", e->file_name ? e->file_name : "");
        if (e->sparse) {
            json_set_int(one, "cluster-size", e->sparse->map.block_size);
        }
        json_set_string(one, "format", e->type_name);
        json_append(list, one);
    }
    json_set(specific, "extents", list);
}

static uint64_t file_usage(BlockImage *file)
{
    struct stat st;
    uint64_t offset, size = 0;
    int fd;

    if (block_image_size(file) && block_image_resolve(file, 0, 1, false, &fd, &offset)) {
        size = !fstat(fd, &st) ? (uint64_t)st.st_blocks * 512 : 0;
        block_image_resolved(file, 0, 1, false);
    }
    return size;
}

static uint64_t vmdk_actual_size(BlockImage *image)
{
    VmdkImage *vmdk = vmdk_of(image);
    uint64_t size = file_usage(image->file);

    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        const Extent *e = &g_array_index(vmdk->extents, Extent, i);

        size += e->file && e->file != image->file ? file_usage(e->file) : 0;
    }
    return size;
}

static int vmdk_check(BlockImage *image, unsigned fix, BlockCheck *result, GError **error)
{
    VmdkImage *vmdk = vmdk_of(image);

    for (unsigned i = 0; i < vmdk->extents->len; i++) {
        Extent *e = &g_array_index(vmdk->extents, Extent, i);

        if (e->sparse) {
            vmdk_sparse_check(e->sparse, result);
        }
    }
    return 0;
}

/* ---- new images ---- */

static const BlockCreateOption vmdk_create_options[] = {
    { "adapter_type", BLOCK_OPT_STRING, NULL,
      "Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX" },
    { "backing_file", BLOCK_OPT_STRING, NULL, "File name of a base image" },
    { "backing_fmt", BLOCK_OPT_STRING, NULL, "Must be 'vmdk' if present" },
    { "compat6", BLOCK_OPT_BOOL, "off", "VMDK version 6 image" },
    { "hwversion", BLOCK_OPT_STRING, "undefined", "VMDK hardware version" },
    { "subformat", BLOCK_OPT_STRING, NULL,
      "VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | twoGbMaxExtentSparse | "
      "twoGbMaxExtentFlat | streamOptimized}" },
    { "toolsversion", BLOCK_OPT_STRING, NULL, "VMware guest tools version" },
    { "zeroed_grain", BLOCK_OPT_BOOL, NULL, "Enable efficient zero writes using the zeroed-grain GTE feature" },
    { NULL },
};

typedef struct CreateOptions {
    char *adapter, *backing, *backing_format, *hardware, *subformat, *tools;
    bool compat6, zero_grains;
} CreateOptions;

static void create_options_clear(CreateOptions *o)
{
    g_free(o->adapter);
    g_free(o->backing);
    g_free(o->backing_format);
    g_free(o->hardware);
    g_free(o->subformat);
    g_free(o->tools);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CreateOptions, create_options_clear)

static bool one_of(const char *option, const char *value, const char *const *list, GError **error)
{
    g_autofree char *all = g_strjoinv(", ", (char **)list);

    if (g_strv_contains(list, value)) {
        return true;
    }
    g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s=%s: there are %s", option, value, all);
    return false;
}

static bool parse_options(CreateOptions *o, Json *options, GError **error)
{
    static const char *const adapters[] = { "ide", "lsilogic", "buslogic", "legacyESX", NULL };
    static const char *const subformats[] = { "monolithicSparse",   "monolithicFlat",  "twoGbMaxExtentSparse",
                                              "twoGbMaxExtentFlat", "streamOptimized", NULL };

    if (!block_option_string(options, "adapter_type", &o->adapter, error) ||
        !block_option_string(options, "backing_file", &o->backing, error) ||
        !block_option_string(options, "backing_fmt", &o->backing_format, error) ||
        !block_option_bool(options, "compat6", &o->compat6, error) ||
        !block_option_string(options, "hwversion", &o->hardware, error) ||
        !block_option_string(options, "subformat", &o->subformat, error) ||
        !block_option_string(options, "toolsversion", &o->tools, error) ||
        !block_option_bool(options, "zeroed_grain", &o->zero_grains, error)) {
        return false;
    }
    if (o->hardware && !strcmp(o->hardware, "undefined")) {
        g_clear_pointer(&o->hardware, g_free);
    }
    if (o->compat6 && o->hardware) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "compat6 cannot be enabled with hwversion set");
        return false;
    }
    if (o->backing_format && strcmp(o->backing_format, "vmdk")) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "the backing image of a VMDK image is a VMDK image");
        return false;
    }
    o->adapter = o->adapter ? o->adapter : g_strdup("ide");
    o->subformat = o->subformat ? o->subformat : g_strdup("monolithicSparse");
    o->hardware = o->hardware ? o->hardware : g_strdup(o->compat6 ? "6" : "4");
    o->tools = o->tools ? o->tools : g_strdup("2147483647");
    return one_of("adapter_type", o->adapter, adapters, error) && one_of("subformat", o->subformat, subformats, error);
}

static bool find_parent_cid(const char *name, const char *backing, uint32_t *cid, GError **error)
{
    g_autofree char *path = block_name_relative_to(name, backing);
    BlockImage *parent = block_image_open(path, "vmdk", NULL, BLOCK_OPEN_READONLY | BLOCK_OPEN_NO_BACKING, error);

    if (!parent) {
        return false;
    }
    *cid = vmdk_of(parent)->cid;
    block_image_close(parent);
    return true;
}

static bool make_extent_file(const char *path, const CreateOptions *o, uint64_t sectors, bool flat, GError **error)
{
    BlockImage *file;
    bool ok;

    if (!block_image_create(path, "file", flat ? sectors * VMDK_SECTOR : 0, NULL, error)) {
        return false;
    }
    if (flat) {
        return true;
    }
    file = block_image_open(path, "file", NULL, 0, error);
    ok = file && vmdk_sparse_create(file, path, sectors, false, false, o->zero_grains, error);
    block_image_close(file);
    return ok;
}

/* "disk.vmdk" has "disk-flat.vmdk", or "disk-s001.vmdk" and so on. */
static bool make_extents(const char *name, const CreateOptions *o, VmdkNew *what, bool flat, bool split, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(name), *base = g_path_get_basename(name);
    char *dot = strrchr(base, '.');
    g_autofree char *suffix = g_strdup(dot ? dot : "");
    uint64_t step = split ? SPLIT_SECTORS : what->sectors;
    int index = 0;

    if (dot) {
        *dot = 0;
    }
    for (uint64_t done = 0; done < what->sectors; done += step) {
        uint64_t sectors = MIN(step, what->sectors - done);
        g_autofree char *part = split ? g_strdup_printf("%s-%c%03d%s", base, flat ? 'f' : 's', ++index, suffix)
                                      : g_strdup_printf("%s-flat%s", base, suffix);
        g_autofree char *path = g_build_filename(folder, part, NULL);

        if (!make_extent_file(strchr(name, '/') ? path : part, o, sectors, flat, error)) {
            return false;
        }
        g_string_append_printf(what->extents, "RW %" G_GUINT64_FORMAT " %s \"%s\"%s\n", sectors, flat ? "FLAT" : "SPARSE",
                               part, flat ? " 0" : "");
    }
    return true;
}

static bool write_descriptor(BlockImage *file, const char *name, const VmdkNew *what, uint64_t at, uint64_t room,
                             GError **error)
{
    g_autofree char *text = vmdk_descriptor_write(what);
    size_t length = strlen(text);
    int failed;

    if (length > room) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: the descriptor is too long: use shorter names", name);
        return false;
    }
    failed = block_image_write(file, at, text, length);
    if (failed) {
        g_set_error(error, VM_ERROR, VM_ERROR_HOST, "cannot write '%s': %s", name, g_strerror(failed));
    }
    return !failed;
}

static bool create_parts(BlockImage *file, const char *name, const CreateOptions *o, VmdkNew *what, GError **error)
{
    bool flat = g_str_has_suffix(o->subformat, "Flat"), split = g_str_has_prefix(o->subformat, "twoGb");
    g_autofree char *base = g_path_get_basename(name);

    if (flat && o->backing) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "flat images have no backing image: use subformat=monolithicSparse");
        return false;
    }
    if (flat || split) {
        return make_extents(name, o, what, flat, split, error) &&
               write_descriptor(file, name, what, 0, VMDK_DESCRIPTOR_MAX, error);
    }
    g_string_append_printf(what->extents, "RW %" G_GUINT64_FORMAT " SPARSE \"%s\"\n", what->sectors, base);
    return vmdk_sparse_create(file, name, what->sectors, true, !strcmp(o->subformat, "streamOptimized"), o->zero_grains,
                              error) &&
           write_descriptor(file, name, what, VMDK_DESCRIPTOR_SECTOR * VMDK_SECTOR,
                            VMDK_DESCRIPTOR_SECTORS * VMDK_SECTOR, error);
}

static bool vmdk_create(BlockImage *file, const char *name, uint64_t size, Json *options, GError **error)
{
    g_auto(CreateOptions) o = { NULL };
    VmdkNew what = { .parent_cid = (uint32_t)VMDK_NO_CID, .sectors = (size + VMDK_SECTOR - 1) / VMDK_SECTOR };
    bool ok;

    if (!parse_options(&o, options, error) ||
        (o.backing && !find_parent_cid(name, o.backing, &what.parent_cid, error))) {
        return false;
    }
    if (!size) {
        g_set_error(error, VM_ERROR, VM_ERROR_USER, "%s: a VMDK image cannot be empty", name);
        return false;
    }
    what.create_type = o.subformat;
    what.adapter = o.adapter;
    what.hardware = o.hardware;
    what.tools = o.tools;
    what.parent = o.backing;
    what.extents = g_string_new(NULL);
    ok = create_parts(file, name, &o, &what, error);
    g_string_free(what.extents, TRUE);
    return ok;
}

const BlockDriver block_vmdk = {
    .name = "vmdk",
    .supports_backing = true,
    .probe = vmdk_probe,
    .open = vmdk_open,
    .close = vmdk_close,
    .size = vmdk_size,
    .read = vmdk_read,
    .write = vmdk_write,
    .flush = vmdk_flush,
    .discard = vmdk_discard,
    .write_zeroes = vmdk_write_zeroes,
    .write_compressed = vmdk_write_compressed,
    .status = vmdk_status,
    .resolve = vmdk_resolve,
    .create_options = vmdk_create_options,
    .create = vmdk_create,
    .check = vmdk_check,
    .info = vmdk_info,
    .actual_size = vmdk_actual_size,
};
