/* CD-ROM drives on SCSI: MMC commands, and reads of the disc. */
#include "hw/scsi/internal.h"

#include "util/bits.h"

static void selected(ScsiRequest *r)
{
    scsi_good(r); /* nothing that a driver sets here changes what this drive does */
}

/* Parameters are taken and have no effect. */
static void mode_select(ScsiRequest *r)
{
    uint32_t size = r->cdb[0] == 0x15 ? r->cdb[4] : load_be16(r->cdb + 7);

    if (r->cdb[1] & 1) {
        scsi_check(r, sense_invalid_field);
    } else if (size) {
        scsi_collect(r, size, selected);
    } else {
        scsi_good(r);
    }
}

void scsi_cd_command(ScsiRequest *r)
{
    ScsiDevice *dev = r->dev;
    uint8_t buffer[MMC_ANSWER_MAX];
    MmcAnswer answer;

    if (r->cdb[0] == 0x15 || r->cdb[0] == 0x55) {
        mode_select(r);
        return;
    }
    answer = mmc_command(&dev->s.mmc, dev->blk, r->cdb, false, buffer);
    switch (answer.kind) {
    case MMC_UNKNOWN:
        scsi_check(r, sense_invalid_opcode);
        break;
    case MMC_DONE:
        scsi_good(r);
        break;
    case MMC_FAILED:
        scsi_check(r, answer.sense);
        break;
    case MMC_DATA:
        scsi_answer(r, buffer, answer.size, answer.size);
        break;
    case MMC_READ:
        if (answer.raw) {
            scsi_read_raw_sectors(r, answer.lba, answer.count);
        } else {
            scsi_read_medium(r, (uint64_t)answer.lba * MMC_SECTOR, (uint64_t)answer.count * MMC_SECTOR);
        }
        break;
    }
}
