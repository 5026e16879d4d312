/* Between the two halves of myna-img convert: what is to be copied, and copying it. */
#ifndef SYSTEM_IMG_CONVERT_H
#define SYSTEM_IMG_CONVERT_H

#include "system/img/img.h"

/* Up to whole sectors. */
#define ROUND_SECTOR(size) (((size) + BLOCK_SECTOR - 1) / BLOCK_SECTOR * BLOCK_SECTOR)

typedef struct ConvertSource {
    BlockImage *image;
    uint64_t start, size; /* where it lies in the target */
    uint64_t skip;        /* how much of the image lies before it */
} ConvertSource;

typedef struct ConvertJob {
    ConvertSource *sources;
    int source_count;
    BlockImage *target;
    Json *target_options; /* that it is opened with; may be NULL */
    uint64_t total, target_size; /* bytes; the target may be larger */
    uint32_t align;       /* of what is written, but for the end */
    uint64_t sparse;      /* -S; 0: zeros are written as data */
    bool compress, in_order, offload, salvage, quiet;
    bool target_is_zero;  /* it reads as zeros before anything is written */
    bool above_backing;   /* -B: what the source has from its backing image is in the target's */
    bool may_clone;       /* the host may share the file's extents */
    unsigned threads;
    ImgRate rate;
} ConvertJob;

/* Copies all of the job; 0, or 1 after a message. */
int img_convert_copy(ConvertJob *job);

#endif
